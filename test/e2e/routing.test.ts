/** Requests through the gateway and the sidecars, as VirtualServices say. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { root } from "../../tools/e2e/layout.ts";
import { call, findReviewer, productPageUrl, waitForReviewer } from "./support/calls.ts";
import { apply, findPod, kubectl, type Pod, runInPod } from "./support/kubernetes.ts";

let page = "";
beforeAll(async () => {
  page = await productPageUrl();
});
afterAll(() => apply(readFileSync(join(root, "manifests/samples/bookinfo/reviews.yaml"), "utf8")));

const routeReviews = (rules: string): Promise<void> =>
  apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews-route, namespace: bookinfo}
spec:
  hosts: [reviews.bookinfo.svc.cluster.local]
  http: ${rules}
`);
const to = (subset: string): string => `{destination: {host: reviews.bookinfo.svc.cluster.local, subset: ${subset}}}`;

it("shows the product page through the gateway, every part of it from another pod", async () => {
  await waitForReviewer(page, "reviews-v1");
  const { status, body, headers } = await call(page);
  expect(status).toBe(200);
  expect(body).toContain("William Shakespeare");
  expect(headers["server"]).toBe("istio-envoy");
});

it("follows a VirtualService from version to version", async () => {
  await routeReviews(`[{route: [${to("v3")}]}]`);
  await waitForReviewer(page, "reviews-v3");
  expect((await call(page)).body).toContain('<span style="color: red">★★★★★</span>');
  await routeReviews(`[{route: [${to("v2")}]}]`);
  await waitForReviewer(page, "reviews-v2");
});

it("aborts where a rule asks for a fault, and only the part that it concerns", async () => {
  await routeReviews(`[{fault: {abort: {httpStatus: 418, percentage: {value: 100}}}, route: [${to("v1")}]}]`);
  await expect.poll(async () => (await call(page)).body, { timeout: 60_000 }).toContain("reviews answered 418");
  expect((await call(page)).body).toContain("William Shakespeare");
});

it("spreads requests by weight", async () => {
  await routeReviews(
    `[{route: [${to("v1").replace("}}", "}, weight: 50}")}, ${to("v3").replace("}}", "}, weight: 50}")}]}]`,
  );
  const seen = async (): Promise<string> => {
    const pages = await Promise.all(Array.from({ length: 30 }, () => call(page)));
    return [...new Set(pages.map(({ body }) => findReviewer(body)))].sort().join();
  };
  await expect.poll(seen, { timeout: 60_000 }).toBe("reviews-v1,reviews-v3");
});

/** Requests that a pod's proxy has handed to its application. */
async function countInbound({ metadata }: Pod): Promise<number> {
  const command = ["pilot-agent", "request", "GET", "clusters"];
  const clusters = await runInPod("bookinfo", metadata.name, { container: "istio-proxy", command });
  return Number(/^inbound\|9080\|\|::.*::rq_total::(\d+)$/m.exec(clusters)?.[1] ?? 0);
}

it("goes through the sidecar of the pod that answers", async () => {
  const pod = await findPod("bookinfo", "app=details");
  const before = await countInbound(pod);
  for (let number = 0; number < 10; number++) await call(page);
  expect((await countInbound(pod)) - before).toBeGreaterThanOrEqual(10);
});

it("says in the status of a VirtualService that its proxies have it", async () => {
  const read = (): Promise<string> =>
    kubectl(["-n", "bookinfo", "get", "virtualservice", "bookinfo", "-o", "jsonpath={.status.conditions[0].message}"]);
  await expect.poll(read, { timeout: 60_000, interval: 500 }).toBe("1/1 proxies up to date.");
});
