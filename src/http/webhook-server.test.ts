import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { connect as connectPlain } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createRootAuthority } from "../ca/authority.ts";
import { createServingCertificates } from "../ca/serving-certificates.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import { validateReview } from "../webhook/validate-review.ts";
import { startWebhookServer, type WebhookServer, type WebhookServerOptions } from "./webhook-server.ts";

const dayMs = 86_400_000;
const path = "/validate";

interface Rig {
  readonly server: WebhookServer;
  readonly ca: string;
  readonly counted: string[];
}

const running: WebhookServer[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
});

async function start(options: Partial<WebhookServerOptions> = {}, clock: Clock = systemClock): Promise<Rig> {
  const authority = await createRootAuthority({ organization: "mesh", lifetimeMs: 3650 * dayMs, nowMs: clock.now() });
  const source = { kind: "authority", authority, names: ["localhost", "127.0.0.1"] } as const;
  const certificates = await createServingCertificates({ source, clock, log: silentLog });
  const counted: string[] = [];
  const metrics: WebhookServerOptions["metrics"] = {
    count: (name, labels = {}) => void counted.push([name, ...Object.values(labels)].join(" ")),
    observe: (name) => void counted.push(name),
  };
  const server = await startWebhookServer({
    address: { host: "127.0.0.1", port: 0 },
    certificates,
    validate: (review) => validateReview(review, metrics),
    isReady: () => true,
    metrics,
    log: silentLog,
    ...options,
  });
  running.push(server);
  return { server, ca: authority.roots, counted };
}

interface Answer {
  readonly status: number | undefined;
  readonly text: string;
  readonly headers: IncomingMessage["headers"];
}

interface Sending {
  readonly method?: string;
  readonly path?: string;
  readonly contentType?: string;
  readonly headers?: Record<string, string>;
}

function send({ server, ca }: Rig, body: string | Buffer, sending: Sending = {}): Promise<Answer> {
  const { contentType = "application/json", headers = {}, ...rest } = sending;
  return new Promise((resolve, reject) => {
    const asking = request({
      host: "127.0.0.1",
      port: server.port,
      ca,
      method: "POST",
      path,
      agent: false,
      headers: { "content-type": contentType, ...headers },
      ...rest,
    });
    asking.on("response", (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => {
        const text = Buffer.concat(parts).toString();
        resolve({ status: response.statusCode, text, headers: response.headers });
      });
    });
    // A server that refuses a body early closes while it is still being written.
    asking.on("error", reject);
    asking.end(body);
  });
}

const review = (object: unknown): string =>
  JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: { uid: "u1", operation: "CREATE", kind: { group: "networking.istio.io", kind: "VirtualService" }, object },
  });
const virtualService = (spec: unknown) => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name: "reviews", namespace: "shop" },
  spec,
});
const good = virtualService({ hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews" } }] }] });

describe("reviews", () => {
  test.each([path, "/validate/anything", "/validate/"])("are answered at %s", async (at) => {
    const rig = await start();
    const answer = await send(rig, review(good), { path: at });
    expect(answer.status).toBe(200);
    expect(answer.headers["content-type"]).toContain("application/json");
    expect(JSON.parse(answer.text)).toEqual({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      response: { uid: "u1", allowed: true },
    });
  });

  test("are refused with reasons, in the same way", async () => {
    const rig = await start();
    const answer = await send(rig, review(virtualService({ hosts: [] })));
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toMatchObject({ response: { uid: "u1", allowed: false, status: { code: 400 } } });
  });

  test("may say their type with a character set", async () => {
    const rig = await start();
    expect((await send(rig, review(good), { contentType: "Application/JSON; charset=utf-8" })).status).toBe(200);
  });
});

describe("a hostile or wrong request", () => {
  test.each<[string, string | Buffer, Sending, number, string]>([
    ["another type", review(good), { contentType: "application/yaml" }, 415, "want `application/json`"],
    ["no type", review(good), { contentType: "" }, 415, "want `application/json`"],
    ["no body", "", {}, 400, "no body found"],
    ["no JSON", Buffer.from([0, 1, 2, 0xff]), {}, 400, "it is not JSON"],
    ["JSON that ends early", '{"kind":', {}, 400, "it is not JSON"],
    ["null", "null", {}, 400, "no AdmissionReview"],
    ["a list", "[]", {}, 400, "no AdmissionReview"],
    ["another kind", '{"kind":"Pod","apiVersion":"v1"}', {}, 400, "no AdmissionReview"],
    ["no request", '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}', {}, 400, "has no request"],
    [
      "a request of null",
      '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":null}',
      {},
      400,
      "has no request",
    ],
    ["100,000 lists in each other", "[".repeat(100_000) + "]".repeat(100_000), {}, 400, "no AdmissionReview"],
    ["GET", "", { method: "GET" }, 405, "only POST"],
    ["DELETE", "", { method: "DELETE" }, 405, "only POST"],
    ["another path", review(good), { path: "/other" }, 404, "not found"],
    ["a path of the injector", review(good), { path: "/inject" }, 404, "not found"],
    ["a broken path", review(good), { path: "/%zz" }, 400, ""],
  ])("with %s gets a clear answer, and the next one is served", async (_case, body, sending, status, text) => {
    const rig = await start();
    const answer = await send(rig, body, sending);
    expect(answer.status).toBe(status);
    expect(answer.text).toContain(text);
    expect((await send(rig, review(good))).status).toBe(200);
  });
});

describe("a hostile object", () => {
  test.each([
    ["names of prototypes", `{"__proto__":{"allowed":true},"constructor":{"prototype":{}}}`],
    ["a spec 100,000 levels deep", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
    ["objects 100,000 levels deep", `${'{"http":'.repeat(100_000)}1${"}".repeat(100_000)}`],
    [
      "a pattern of 100,000 brackets",
      JSON.stringify({ hosts: ["a"], http: [{ match: [{ uri: { regex: "(".repeat(100_000) } }] }] }),
    ],
    ["100,000 hosts", JSON.stringify({ hosts: Array.from({ length: 100_000 }, () => "_bad_") })],
  ])("with %s is refused in bounded words", async (_case, spec) => {
    const rig = await start();
    const body = review(virtualService("SPEC")).replace('"SPEC"', spec);
    const answer = await send(rig, body);
    expect(answer.status).toBe(200);
    const { response } = JSON.parse(answer.text);
    expect(response.allowed).toBe(false);
    expect(answer.text.length).toBeLessThan(40_000);
    expect(({} as { allowed?: boolean }).allowed).toBeUndefined();
    expect((await send(rig, review(good))).status).toBe(200);
  });
});

describe("bounds and counts", () => {
  test("a body over the limit is refused by its head, or where the limit is passed", async () => {
    const rig = await start();
    const tooLong = 6 * 1024 * 1024 + 1;
    for (const headers of [{ "content-length": String(tooLong) }, { "transfer-encoding": "chunked" }]) {
      const answer = await send(rig, Buffer.alloc(tooLong, " "), { headers });
      expect(answer.status).toBe(413);
      expect(answer.text).toContain("6291456 bytes");
    }
    const endless = await send(rig, Buffer.alloc(40_000_000, " "), { contentType: "text/plain" });
    expect(endless.status).toBe(415);
    expect(rig.counted).toContain("galley_validation_http_error 413");
    expect((await send(rig, review(good))).status).toBe(200);
  });

  test("a body of exactly the limit is read", async () => {
    const rig = await start();
    const body = review(good).padEnd(6 * 1024 * 1024, " ");
    expect((await send(rig, body)).status).toBe(200);
  });

  test("errors are counted by status", async () => {
    const rig = await start();
    await send(rig, "x", { contentType: "text/plain" });
    await send(rig, "x");
    expect(rig.counted).toEqual(["galley_validation_http_error 415", "galley_validation_http_error 400"]);
  });

  test("a request that makes our own code fail is answered, and the next one is served", async () => {
    let calls = 0;
    const rig = await start({
      validate: (body) => {
        calls += 1;
        if (calls === 1) throw new Error("a fault of ours");
        return validateReview(body, { count: () => undefined });
      },
    });
    const answer = await send(rig, review(good));
    expect(answer.status).toBe(500);
    expect(answer.text).not.toContain("a fault of ours");
    expect((await send(rig, review(good))).status).toBe(200);
  });
});

describe("slow clients", () => {
  test("are cut off, and others are served meanwhile", async () => {
    const rig = await start();
    const sockets = await Promise.all(
      ["", "POST /validate HTTP/1.1\r\nhost: x\r\n"].map(async (text) => {
        const socket = connect({ host: "127.0.0.1", port: rig.server.port, ca: rig.ca });
        await once(socket, "secureConnect");
        socket.resume();
        socket.write(text);
        return socket;
      }),
    );
    const silent = connectPlain(rig.server.port, "127.0.0.1").resume();
    const closed = Promise.all([...sockets, silent].map((socket) => once(socket, "close")));
    expect((await send(rig, review(good))).status).toBe(200);
    await closed;
  });
});

describe("while the control plane is not ready", () => {
  test("reviews get 503 and probes see it", async () => {
    let isReady = false;
    const rig = await start({ isReady: () => isReady });
    const answer = await send(rig, review(good));
    expect(answer.status).toBe(503);
    expect(answer.headers["retry-after"]).toBeUndefined();
    expect((await send(rig, "", { method: "GET", path: "/httpsReady" })).status).toBe(503);
    isReady = true;
    expect((await send(rig, review(good))).status).toBe(200);
    expect((await send(rig, "", { method: "GET", path: "/httpsReady" })).status).toBe(200);
  });
});

describe("TLS", () => {
  const handshake = async ({ server, ca }: Rig, options: object): Promise<TLSSocket> => {
    const socket = connect({ host: "127.0.0.1", port: server.port, ca, ...options });
    await once(socket, "secureConnect");
    return socket;
  };

  test("takes 1.2 with AEAD suites and 1.3, and nothing weaker", async () => {
    const rig = await start();
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const socket = await handshake(rig, { minVersion: version, maxVersion: version });
      expect(socket.getProtocol()).toBe(version);
      expect(socket.getCipher().name).toMatch(/GCM|CHACHA20/);
      socket.destroy();
    }
    const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" };
    await expect(handshake(rig, old)).rejects.toThrow();
    const cbc = { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA256" };
    await expect(handshake(rig, cbc)).rejects.toThrow();
  });

  test("offers no HTTP/2", async () => {
    const rig = await start();
    const socket = await handshake(rig, { ALPNProtocols: ["h2", "http/1.1"] });
    expect(socket.alpnProtocol).toBe("http/1.1");
    socket.destroy();
  });

  test("survives what is no TLS", async () => {
    const rig = await start();
    const socket = connectPlain(rig.server.port, "127.0.0.1");
    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    await once(socket, "close");
    expect((await send(rig, review(good))).status).toBe(200);
  });

  test("shows a renewed certificate to new connections, and keeps those that are open", async () => {
    const late = { nowMs: systemClock.now() };
    const due: (() => void)[] = [];
    const clock: Clock = {
      ...systemClock,
      now: () => late.nowMs,
      after: (_delayMs, run) => {
        due.push(run);
        return { close: () => undefined };
      },
    };
    const rig = await start({}, clock);
    const first = await handshake(rig, {});
    const shown = (socket: TLSSocket): string => socket.getPeerCertificate().fingerprint256;
    const before = shown(first);
    due.pop()?.();
    const renewed = vi.waitFor(async () => {
      const socket = await handshake(rig, {});
      const fingerprint = shown(socket);
      socket.destroy();
      expect(fingerprint).not.toBe(before);
    }, 5_000);
    await renewed;
    first.write("GET /httpsReady HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    const [head] = await once(first, "data");
    expect(String(head)).toContain("HTTP/1.1 200");
    expect(new X509Certificate(rig.ca).subject).toBe("O=mesh");
  });
});
