import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, expect, it } from "vitest";
import { createSelfSigned } from "../../tools/run/certificate.ts";
import { systemClock } from "../lib/clock.ts";
import { silentLog } from "../lib/log.ts";
import { createKubeClient, type KubeClientOptions } from "./create-kube-client.ts";
import { KubeApiError, type KubeClient, KubeConnectionError } from "./kube-client.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
const closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

interface Given {
  readonly user?: Readonly<Record<string, unknown>>;
  readonly tls?: ReturnType<typeof createSelfSigned>;
  /** Files beside the kubeconfig. */
  readonly files?: Readonly<Record<string, string>>;
  readonly options?: Partial<KubeClientOptions>;
}

/** A client of a server that answers as the test says, and the folder of its kubeconfig. */
async function connect(handler: Handler, given: Given = {}): Promise<{ client: KubeClient; folder: string }> {
  const { tls } = given;
  const server =
    tls === undefined
      ? createServer(handler)
      : createTlsServer({ cert: tls.certificatePem, key: tls.privateKeyPem }, handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const folder = mkdtempSync(join(tmpdir(), "meltemi-kube-"));
  closing.push(() => {
    rmSync(folder, { recursive: true });
    server.closeAllConnections();
    server.close();
  });
  for (const [name, text] of Object.entries(given.files ?? {})) writeFileSync(join(folder, name), text);
  const kubeconfig = join(folder, "kubeconfig");
  const cluster =
    tls === undefined
      ? { server: `http://127.0.0.1:${port}`, "insecure-skip-tls-verify": true }
      : {
          server: `https://127.0.0.1:${port}`,
          "tls-server-name": "api.test",
          "certificate-authority-data": Buffer.from(tls.certificatePem).toString("base64"),
        };
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      "current-context": "c",
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      clusters: [{ name: "c", cluster }],
      users: [{ name: "u", user: given.user ?? { token: "s3cret" } }],
    }),
  );
  const client = await createKubeClient({ kubeconfig, clock: systemClock, log: silentLog, ...given.options });
  closing.push(() => client.close());
  return { client, folder };
}

it("asks with credentials and reads packed answers", async () => {
  const { client } = await connect((request, response) => {
    const { method, url, headers } = request;
    response.setHeader("content-encoding", "gzip");
    response.end(gzipSync(JSON.stringify({ method, url, authorization: headers.authorization })));
  });
  expect(await client.request({ path: "/api/v1/pods", query: { limit: "1" } })).toEqual({
    method: "GET",
    url: "/api/v1/pods?limit=1",
    authorization: "Bearer s3cret",
  });
});

it("sends a body with its type", async () => {
  const { client } = await connect((request, response) => {
    request.on("data", (body: Buffer) => {
      response.end(JSON.stringify([request.method, request.headers["content-type"], String(body)]));
    });
  });
  const patch = { method: "PATCH", path: "/x", contentType: "application/merge-patch+json", body: { a: 1 } } as const;
  expect(await client.request(patch)).toEqual(["PATCH", "application/merge-patch+json", '{"a":1}']);
});

it("verifies the server's certificate against the kubeconfig's authority", async () => {
  const tls = createSelfSigned(["api.test"], systemClock.now());
  const good = await connect((_, response) => response.end("{}"), { tls });
  expect(await good.client.request({ path: "/" })).toEqual({});
  const other = createSelfSigned(["other.test"], systemClock.now());
  const bad = await connect((_, response) => response.end("{}"), { tls: other });
  await expect(bad.client.request({ path: "/" })).rejects.toThrow(KubeConnectionError);
});

it("tells what was asked and why it was refused, never with which credentials", async () => {
  const { client } = await connect((_, response) => {
    response.writeHead(429, { "retry-after": "3" });
    response.end(JSON.stringify({ kind: "Status", reason: "TooManyRequests", message: "slow down" }));
  });
  const error: unknown = await client.request({ path: "/api/v1/pods" }).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(KubeApiError);
  expect(error).toMatchObject({
    status: 429,
    reason: "TooManyRequests",
    retryAfterMs: 3000,
    message: "GET /api/v1/pods: 429 slow down",
  });
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain("s3cret");
});

it("follows no redirect: credentials are for one server", async () => {
  let asked = 0;
  const { client } = await connect((_, response) => {
    asked++;
    response.writeHead(302, { location: "/elsewhere" });
    response.end();
  });
  await expect(client.request({ path: "/" })).rejects.toMatchObject({ status: 302 });
  expect(asked).toBe(1);
});

it.each([
  ["no answer at all", () => undefined, /no answer within 50 ms/],
  [
    "an answer that stops",
    (_: IncomingMessage, response: ServerResponse) => response.write("{"),
    /no answer within 50 ms/,
  ],
  ["a connection that breaks", (request: IncomingMessage) => request.socket.destroy(), /socket hang up/],
  ["an answer that is no JSON", (_: IncomingMessage, response: ServerResponse) => response.end("<html>"), /JSON/],
])("gives up: %s", async (_, handler, message) => {
  const { client } = await connect((request, response) => void handler(request, response));
  const asked = client.request({ path: "/p", timeoutMs: 50 });
  await expect(asked).rejects.toThrow(KubeConnectionError);
  await expect(asked).rejects.toThrow(message);
});

it("gives up an answer that is too long", async () => {
  const { client } = await connect((_, response) => response.end("x".repeat(2000)), {
    options: { maxAnswerBytes: 1000 },
  });
  await expect(client.request({ path: "/" })).rejects.toThrow("GET /: the answer is longer than 1000 bytes");
});

it("streams, ends where the server ends, throws where it breaks, and ends where it is closed", async () => {
  const { client } = await connect((request, response) => {
    response.write("one");
    if (request.url === "/end") response.end();
    if (request.url === "/break") systemClock.after(20, () => response.destroy());
  });
  const read = async (path: string, isClosed = false): Promise<string> => {
    const stream = await client.stream({ path });
    let text = "";
    for await (const chunk of stream.chunks) {
      text += Buffer.from(chunk).toString();
      if (isClosed) stream.close();
    }
    return text;
  };
  expect(await read("/end")).toBe("one");
  expect(await read("/close", true)).toBe("one");
  await expect(read("/break")).rejects.toThrow(/^GET \/break: /);
});

it("reads a token file again after 401, asks once more, and keeps the last token where the file is empty", async () => {
  const seen: (string | undefined)[] = [];
  let wanted = "Bearer one";
  const { client, folder } = await connect(
    ({ headers }, response) => {
      seen.push(headers.authorization);
      response.statusCode = headers.authorization === wanted ? 200 : 401;
      response.end("{}");
    },
    { user: { tokenFile: "token" }, files: { token: "one\n" } },
  );
  const tokenFile = join(folder, "token");
  await client.request({ path: "/" });
  writeFileSync(tokenFile, "two");
  wanted = "Bearer two";
  await Promise.all([client.request({ path: "/" }), client.request({ path: "/" })]);
  expect(seen).toEqual(["Bearer one", "Bearer one", "Bearer one", "Bearer two", "Bearer two"]);
  writeFileSync(tokenFile, "");
  wanted = "Bearer three";
  await expect(client.request({ path: "/" })).rejects.toMatchObject({ status: 401 });
  wanted = "Bearer two";
  await client.request({ path: "/" });
});

it("says what is wrong with a token file that was never good", async () => {
  const given = { user: { tokenFile: "token" }, files: { token: "" } };
  await expect(connect((_, response) => response.end("{}"), given)).rejects.toThrow(/the token file .*token is empty/);
});

it("asks no faster than it is told, watches not counted", async () => {
  const { client } = await connect((_, response) => response.end("{}"), { options: { qps: 1, burst: 2 } });
  const asked = [1, 2, 3].map(() => client.request({ path: "/" }));
  const watched = client.stream({ path: "/", query: { watch: "true" } });
  const third = await Promise.race([asked[2]?.then(() => "third"), watched.then(() => "watch")]);
  expect(third).toBe("watch");
  await Promise.all(asked.slice(0, 2));
});
