/** What anybody who reaches 15017 can send to the injector: answers are bounded and clear, and the next one is served. */
import { request } from "node:https";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildReview, buildSettings, type InjectionServer, startInjectionServer } from "../support/injection-server.ts";

let server: InjectionServer;
beforeAll(async () => {
  server = await startInjectionServer();
});
afterAll(() => server?.stop());

interface Answer {
  readonly status: number | undefined;
  readonly text: string;
}

function send(
  body: string | Buffer,
  path = "/inject",
  headers: Record<string, string> = {},
  to = server,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = request({
      ...{ host: "127.0.0.1", port: to.port, ca: to.roots, method: "POST", path, agent: false },
      headers: { "content-type": "application/json", ...headers },
    });
    asking.on("response", (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => resolve({ status: response.statusCode, text: Buffer.concat(parts).toString() }));
    });
    // A server that refuses a body early may close while it is still being written.
    asking.on("error", reject);
    asking.end(body);
  });
}

const pod = {
  metadata: { name: "web", labels: { app: "web" } },
  spec: { containers: [{ name: "web", image: "web" }] },
};
const good = JSON.stringify(buildReview(pod));
/** A review whose pod is this text. */
const withPod = (text: string): string => JSON.stringify(buildReview("POD")).replace('"POD"', () => text);

async function expectServed(): Promise<void> {
  const { status, text } = await send(good);
  expect(status).toBe(200);
  expect(JSON.parse(text)).toMatchObject({ response: { uid: "u1", allowed: true, patchType: "JSONPatch" } });
}

describe("a pod", () => {
  test("is injected, also below a path that names cluster and network", async () => {
    const { text } = await send(good, "/inject/cluster/a--slash--b/net/blue%20sky");
    const { patch } = (JSON.parse(text) as { response: { patch: string } }).response;
    const decoded = Buffer.from(patch, "base64").toString();
    expect(decoded).toContain('{"name":"ISTIO_META_CLUSTER_ID","value":"a/b"}');
    expect(decoded).toContain('{"name":"ISTIO_META_NETWORK","value":"blue sky"}');
  });

  test("is counted and its time is measured", async () => {
    const before = server.counted.length;
    await send(good);
    expect(server.counted.slice(before)).toEqual([
      "sidecar_injection_success_total",
      "sidecar_injection_requests_total",
      "sidecar_injection_time_seconds",
    ]);
  });
});

test("CVE-2022-24726 a body of more than 6 MiB is refused with 413, and is not read", async () => {
  const tooLong = 6 * 1024 * 1024 + 1;
  for (const headers of [{ "content-length": String(tooLong) }, { "transfer-encoding": "chunked" }]) {
    const before = server.counted.length;
    expect(await send(Buffer.alloc(tooLong, " "), "/inject", headers as Record<string, string>)).toMatchObject({
      status: 413,
    });
    expect(server.counted.slice(before)).toContain("sidecar_injection_failure_total");
  }
  expect(await send(good.padEnd(6 * 1024 * 1024, " "))).toMatchObject({ status: 200 });
  await expectServed();
});

test.each([
  ["lists 100,000 levels deep", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
  ["objects 100,000 levels deep", `{"spec":${'{"a":'.repeat(100_000)}1${"}".repeat(100_001)}`],
  [
    "an annotation's value of 100,000 levels",
    `{"metadata":{"annotations":{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}}}`,
  ],
  [
    "a container of 5,000 levels",
    `{"spec":{"containers":[{"name":"a","env":${"[".repeat(5_000)}${"]".repeat(5_000)}}]}}`,
  ],
])("CVE-2022-24726 a pod with %s is refused in words", async (_case, text) => {
  const { status, text: answer } = await send(withPod(text));
  expect(status).toBe(200);
  const { response } = JSON.parse(answer) as { response: { allowed: boolean; status: { message: string } } };
  expect(response.allowed).toBe(false);
  expect(response.status.message).toMatch(/nested deeper than|has no pod/);
  expect(answer.length).toBeLessThan(1_000);
  await expectServed();
});

test("CVE-2022-24726 a pod with more containers than any pod has is refused before anything is compared", async () => {
  const containers = Array.from({ length: 20_000 }, (_, index) => ({ name: `c${index}`, image: "a" }));
  const { text } = await send(JSON.stringify(buildReview({ spec: { containers } })));
  expect(text).toContain("20000 containers are more than 500");
  await expectServed();
});

describe("a body", () => {
  test.each<[string, string, number, string]>([
    ["no JSON", "{", 400, "it is not JSON"],
    ["nothing", "", 400, "no body found"],
    ["null", "null", 400, "no AdmissionReview"],
    ["no request", '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}', 400, "has no request"],
    ["a pod of null", withPod("null"), 200, "has no pod"],
    ["a pod of text", withPod('"pod"'), 200, "has no pod"],
    ["names of prototypes", withPod('{"__proto__":{"a":1},"constructor":{"prototype":{}}}'), 200, '"uid":"u1"'],
    ["a spec of text", withPod('{"spec":"x"}'), 200, "spec: must be an object"],
    ["containers of text", withPod('{"spec":{"containers":"x"}}'), 200, "spec.containers: must be a list"],
    ["numbers for labels", withPod('{"metadata":{"labels":{"a":1},"annotations":[1]},"spec":{}}'), 200, '"uid":"u1"'],
  ])("with %s gets a clear answer", async (_case, body, status, text) => {
    const answer = await send(body);
    expect(answer.status).toBe(status);
    expect(answer.text).toContain(text);
    expect(({} as { a?: number }).a).toBeUndefined();
    await expectServed();
  });

  test("of another type is refused by its head", async () => {
    expect(await send(good, "/inject", { "content-type": "application/yaml" })).toMatchObject({ status: 415 });
    await expectServed();
  });
});

describe("before the settings are read", () => {
  test.each([
    ["missing", [], "the settings of injection are missing: ConfigMap istio-system/istio-sidecar-injector"],
    ["broken", [buildSettings({ policy: "perhaps" })], "data.config.policy: must be enabled or disabled"],
  ])("nothing is let through: they are %s", async (_case, objects, text) => {
    const early = await startInjectionServer({ objects });
    try {
      const answer = await send(good, "/inject", {}, early);
      expect(answer.status).toBe(503);
      expect(answer.text).toContain(text);
      early.apply(buildSettings());
      expect((await send(good, "/inject", {}, early)).status).toBe(200);
      // Broken ones afterwards change nothing but the count.
      early.apply(buildSettings({ policy: "perhaps" }));
      expect((await send(good, "/inject", {}, early)).status).toBe(200);
      expect(early.counted).toContain("pilot_total_rejected_configs ConfigMap istio-system/istio-sidecar-injector");
    } finally {
      await early.stop();
    }
  });
});
