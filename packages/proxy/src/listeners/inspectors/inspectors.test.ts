import { connect, createServer, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { beforeAll, describe, expect, it } from "vitest";
import { parseClientHello } from "./client-hello.ts";
import { inspectHttp } from "./http-inspector.ts";

/** The first bytes that a real TLS client sends. */
async function captureHello(options: { readonly servername?: string; readonly ALPNProtocols?: string[] }) {
  const server = createServer();
  const bytes = new Promise<Buffer>((resolve) =>
    server.once("connection", (socket: Socket) => socket.once("data", resolve)),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const client = connectTls({ socket: connect(address.port, "127.0.0.1"), ...options });
  client.on("error", () => undefined);
  const hello = await bytes;
  client.destroy();
  server.close();
  return hello;
}

/** The same handshake in records of `size` bytes each. */
function split(hello: Buffer, size: number): Buffer {
  const records: Buffer[] = [];
  for (let offset = 5; offset < hello.length; offset += size) {
    const part = hello.subarray(offset, offset + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(records);
}

describe("parseClientHello", () => {
  let hello: Buffer;
  beforeAll(async () => {
    hello = await captureHello({ servername: "WWW.Example.com", ALPNProtocols: ["istio-h2", "h2"] });
  });

  it("reads the name and the protocols", () => {
    expect(parseClientHello(hello)).toEqual({ kind: "hello", sni: "www.example.com", alpn: ["istio-h2", "h2"] });
  });

  it("waits as long as a byte is missing", () => {
    for (let length = 1; length < hello.length; length += 1) {
      expect(parseClientHello(hello.subarray(0, length)).kind).toBe("more");
    }
  });

  it.each([1, 7, 100])("reads it from records of %i bytes", (size) => {
    expect(parseClientHello(split(hello, size))).toMatchObject({ kind: "hello", sni: "www.example.com" });
  });

  it("reads one that says neither", async () => {
    expect(parseClientHello(await captureHello({}))).toEqual({ kind: "hello", sni: "", alpn: [] });
  });

  it("never fails, whatever byte is wrong", () => {
    for (let offset = 0; offset < hello.length; offset += 1) {
      const broken = Buffer.from(hello);
      broken[offset] = (broken[offset] ?? 0) ^ 0xff;
      expect(["more", "not-tls", "hello"]).toContain(parseClientHello(broken).kind);
    }
  });

  it.each([
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\n")],
    ["SSL 2", Buffer.from([0x16, 0x02, 0, 0, 5, 1])],
    ["an empty record", Buffer.from([0x16, 3, 1, 0, 0])],
    ["a server's hello", Buffer.from([0x16, 3, 1, 0, 5, 2, 0, 0, 1, 0])],
    ["a hello that ends too soon", Buffer.from([0x16, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3])],
  ])("takes %s for something else", (_name, bytes) => {
    expect(parseClientHello(bytes).kind).toBe("not-tls");
  });
});

describe("inspectHttp", () => {
  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  it.each<[string, ReturnType<typeof inspectHttp>]>([
    ["GET / HTTP/1.1\r\n", "http/1.1"],
    ["GET /a?b HTTP/1.0\n", "http/1.0"],
    ["M-SEARCH * HTTP/1.1\r\nHost: a\r\n", "http/1.1"],
    ["GET /\r\n", "http/1.0"],
    ["POST /very/long", "more"],
    ["PR", "more"],
    ["PROPFIND / HTTP/1.1\r\n", "http/1.1"],
    [preface, "h2c"],
    [preface.slice(0, 20), "more"],
    ["PRI * HTTP/2.0\r\n\r\nXX", "http/1.0"],
    ["hello", undefined],
    ["get / HTTP/1.1\r\n", "http/1.1"],
    ["GET\r\n", undefined],
    ["GET / HTTP/1.1 x\r\n", undefined],
    ["\r\nGET / HTTP/1.1\r\n", undefined],
    ["\u0000\u0001\u0002", undefined],
    ["*1\r\n$4\r\nPING\r\n", undefined],
  ])("%j is %s", (text, expected) => {
    expect(inspectHttp(Buffer.from(text, "latin1"))).toBe(expected);
  });
});
