import type { ClientHttp2Session } from "node:http2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DataPlane, dataPlanes } from "../../envoy/envoy-process.ts";
import { inspectFlag, measureGrowth } from "../heap-probe.ts";
import { expectIdle } from "../leave-nothing.ts";
import { startBoth } from "../static-plane.ts";
import { type WebSocketCase, webSocketCases } from "./cases.ts";
import { conversations, converse } from "./compression.ts";
import { type EchoServer, startEchoServer } from "./echo-server.ts";
import { askConnect, askUpgrade, type Outcome } from "./handshakes.ts";
import { type Heard, openSession, talk, talkOverHttp2 } from "./talk.ts";
import { startWebSocketPlane, type WebSocketPlane } from "./websocket-planes.ts";

let echo: EchoServer;
let planes: Record<DataPlane, WebSocketPlane>;
/** What a client without a proxy hears, by name of the case. */
const direct = new Map<string, Heard>();
const sessions = new Map<DataPlane, ClientHttp2Session>();

beforeAll(async () => {
  echo = await startEchoServer();
  planes = await startBoth((plane) =>
    startWebSocketPlane({ plane, upstreamPort: echo.port, nodeFlags: [inspectFlag] }),
  );
  for (const plane of dataPlanes) sessions.set(plane, await openSession(planes[plane].ports.http2));
  await askAll(webSocketCases, async (each) => {
    direct.set(each.name, await talk(echo.port, each));
  });
});

afterAll(async () => {
  for (const session of sessions.values()) session.destroy();
  await Promise.all([planes?.envoy.stop(), planes?.companion.stop()]);
  await echo?.stop();
});

async function askAll(cases: readonly WebSocketCase[], ask: (each: WebSocketCase) => Promise<void>): Promise<void> {
  const left = [...cases];
  const work = async (): Promise<void> => {
    for (let each = left.shift(); each !== undefined; each = left.shift()) await ask(each);
  };
  await Promise.all(Array.from({ length: 8 }, work));
}

/** The names of the cases that come out otherwise than without a proxy. */
async function findOthers(
  cases: readonly WebSocketCase[],
  { status, ask }: { readonly status: number; readonly ask: (each: WebSocketCase) => Promise<Heard> },
): Promise<readonly string[]> {
  const others: string[] = [];
  await askAll(cases, async (each) => {
    const heard = await ask(each);
    if (heard.status !== status || direct.get(each.name)?.bytes.equals(heard.bytes) !== true) others.push(each.name);
  });
  return others;
}

const whole = webSocketCases.filter(({ chop = 2 }) => chop > 1);

describe("the echo server by itself", () => {
  it("is asked many things", () => {
    expect(new Set(webSocketCases.map(({ name }) => name)).size).toBe(webSocketCases.length);
    expect(webSocketCases.length).toBeGreaterThanOrEqual(300);
  });

  it.each([
    ["framing: text of 1 bytes", "81012a", "880203e8"],
    ["ping: with text", "8a0548656c6c6f", "880203e8"],
    ["ping: of 126 bytes", "", "880203ea"],
    ["reserved bits: 4", "8104676f6f64", "880203ea"],
    ["opcode: 3", "", "880203ea"],
    ["fragments: with a ping between", "8a0470696e678106" + "6f6e6574776f", "880203e8"],
    ["UTF-8: 80", "", "880203ef"],
    ["close: code 4999", "", "88021387"],
    ["close: code 1005", "", "880203ea"],
    ["mask and length: a frame without a mask", "", "880203ea"],
    ["limits: more than the server takes", "", "880203f1"],
  ])("judges as the specification does: %s", (name, first, last) => {
    const heard = direct.get(name);
    expect(heard?.status).toBe(101);
    expect(heard?.bytes.toString("hex")).toBe(first + last);
  });
});

describe.each(dataPlanes)("a WebSocket through %s", (plane) => {
  it("carries the same bytes and closing codes as a connection without a proxy", async () => {
    const port = planes[plane].ports.plain;
    expect(await findOthers(webSocketCases, { status: 101, ask: (each) => talk(port, each) })).toEqual([]);
  });

  it("does so over TLS", async () => {
    const port = planes[plane].ports.tls;
    expect(await findOthers(whole, { status: 101, ask: (each) => talk(port, each, true) })).toEqual([]);
  });

  it("does so as an extended CONNECT of HTTP/2, many on one connection", async () => {
    const session = sessions.get(plane);
    if (session === undefined) throw new Error("there is no connection");
    const cases = whole.filter(({ bytes }) => bytes.length < 300_000);
    expect(await findOthers(cases, { status: 200, ask: (each) => talkOverHttp2(session, each) })).toEqual([]);
  });

  it.each(conversations)("leaves what client and server agree on: $name", async (conversation) => {
    const port = planes[plane].ports.plain;
    expect(await converse(port, conversation)).toEqual(await converse(echo.port, conversation));
  });

  it("is refused where upgrades are not taken", async () => {
    expect(await askUpgrade(planes[plane].ports.closed, "/chat", "")).toMatchObject({ status: 403, text: "" });
  });
});

describe("servers that do with an upgrade as they like", () => {
  const halfOpen = "/waits-for-the-end";
  const paths = ["/refuses", "/wants-another-version", "/redirects", "/hangs-up", "/speaks-first", "/ends-first"];

  it.each(paths)("come out as with Envoy: %s", async (path) => {
    const ask = (plane: DataPlane): Promise<Outcome> => askUpgrade(planes[plane].ports.plain, path, "abc");
    expect(normalize(await ask("companion"))).toEqual(normalize(await ask("envoy")));
    expect(normalize(await connect("companion", path))).toEqual(normalize(await connect("envoy", path)));
  });

  it("have an answer passed on that agrees to nothing, whose content Envoy drops", async () => {
    const heard = await Promise.all(
      dataPlanes.map((plane) => askUpgrade(planes[plane].ports.plain, "/answers", "abc")),
    );
    expect(heard.map(({ status, text }) => `${status} ${text}`)).toEqual(["200 ", "200 ok"]);
  });

  it("are heard to the end by clients that have ended their side, which Envoy cuts off", async () => {
    const heard = await Promise.all(dataPlanes.map((plane) => askUpgrade(planes[plane].ports.plain, halfOpen, "abc")));
    expect(heard.map(({ text }) => text)).toEqual(["", "heard abc"]);
    expect((await connect("companion", halfOpen)).text).toBe("heard abc");
  });

  function connect(plane: DataPlane, path: string): Promise<Outcome> {
    const session = sessions.get(plane);
    if (session === undefined) throw new Error("there is no connection");
    return askConnect(session, path, "abc");
  }
});

/** The word of Connection in any case; a length of nothing said or not. */
function normalize({ status, headers, text }: Outcome): Outcome {
  const { connection, "content-length": length, ...rest } = headers;
  const kept = length === "0" || length === undefined ? {} : { length };
  return { status, headers: { ...rest, ...kept, connection: String(connection).toLowerCase() }, text };
}

describe("when all WebSockets have ended", () => {
  it("nothing is left, in the server or in either proxy", async () => {
    for (const session of sessions.values()) session.close();
    await expect.poll(() => echo.count(), { timeout: 20_000 }).toBe(0);
    await Promise.all(dataPlanes.map((plane) => expectIdle(planes[plane].proxy)));
  });

  it("all memory is given back", async () => {
    const { proxy, ports } = planes.companion;
    const small = whole.filter(({ bytes }) => bytes.length < 2_000);
    const askSmall = (): Promise<void> =>
      askAll(small, async (each) => {
        await talk(ports.plain, each);
      });
    expect(await measureGrowth(proxy.log, { count: small.length, askAll: askSmall })).toBeLessThan(4_096);
  });
});
