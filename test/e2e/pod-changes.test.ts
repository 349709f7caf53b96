/** Pods come and go under traffic: no request is lost that a ready endpoint could have served. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Answer, findReviewer, productPageUrl, startLoad, waitForReviewer } from "./support/calls.ts";
import { kubectl, listPods, sleep, waitForReady } from "./support/kubernetes.ts";

const apps = ["productpage-v1", "details-v1", "reviews-v1"];
const scale = (replicas: number): Promise<string> =>
  kubectl(["-n", "bookinfo", "scale", `--replicas=${replicas}`, ...apps.map((app) => `deployment/${app}`)]);
const rolledOut = async (): Promise<void> => {
  for (const app of apps) await kubectl(["-n", "bookinfo", "rollout", "status", `deployment/${app}`, "--timeout=240s"]);
};

let page = "";
beforeAll(async () => {
  // Two of each, so that one is always ready.
  await scale(2);
  await rolledOut();
  page = await productPageUrl();
  await waitForReviewer(page, "reviews-v1");
});
afterAll(async () => {
  await kubectl(["-n", "bookinfo", "scale", "--replicas=1", "deployment/details-v1", "deployment/reviews-v1"]);
});

/** A page without its reviews or details is a lost request, too: of the product page's own. */
function findFault({ status, body }: Answer): string | undefined {
  if (status === 200 && findReviewer(body) === "reviews-v1" && body.includes("William Shakespeare")) return undefined;
  const problems = [...body.matchAll(/<p class="error">(.*?)<\/p>/gs)].map(([, problem = ""]) => problem);
  return problems.join("; ") || body.slice(0, 300);
}

it("loses no page while pods are deleted and made anew", async () => {
  const load = startLoad(page, findFault);
  try {
    await sleep(2000);
    for (const selector of ["app=productpage", "app=details", "app=reviews,version=v1"]) {
      for (const { metadata } of await listPods("bookinfo", selector)) {
        await kubectl(["-n", "bookinfo", "delete", "pod", metadata.name, "--wait=false"]);
        // Only where another one is ready is there one that could have served.
        await rolledOut();
        await waitForReady("bookinfo", selector, 2);
      }
    }
    await sleep(2000);
  } finally {
    const { pages, failures } = await load.stop();
    expect(failures.slice(0, 20)).toEqual([]);
    expect(pages).toBeGreaterThan(100);
  }
});

it("loses no page while a deployment is rolled", async () => {
  const load = startLoad(page, findFault);
  try {
    await kubectl(["-n", "bookinfo", "rollout", "restart", "deployment/productpage-v1", "deployment/reviews-v1"]);
    await rolledOut();
    await sleep(2000);
  } finally {
    const { failures } = await load.stop();
    expect(failures.slice(0, 20)).toEqual([]);
  }
});
