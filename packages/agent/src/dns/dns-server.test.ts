import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createConnection, createServer, type Server } from "node:net";
import type { NameTable } from "@meltemi/protos/istio/networking/nds/v1";
import { type Answer, type DecodedPacket, decode, encode, type Packet } from "dns-packet";
import { afterEach, expect, it } from "vitest";
import { systemClock } from "../../../../src/lib/clock.ts";
import { silentLog } from "../../../../src/lib/log.ts";
import { findFreePort } from "../../../../tools/free-ports.ts";
import { type DnsServer, type DnsServerOptions, startDnsServer } from "./dns-server.ts";

const manyAddresses = Array.from({ length: 60 }, (_, index) => `10.1.0.${index + 1}`);
const table: NameTable = {
  table: {
    "reviews.shop.svc.cluster.local": {
      ips: ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
      registry: "Kubernetes",
      shortname: "reviews",
      namespace: "shop",
    },
    "both.example": { ips: ["198.51.100.1", "2001:db8::1"], registry: "External" },
    "many.example": { ips: manyAddresses, registry: "External" },
    "*.wild.example": { ips: ["198.51.100.7"], registry: "External" },
  },
};

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A resolver on UDP and TCP; `respond` gives the bytes to send back, if any. */
interface Resolver {
  readonly port: number;
  readonly asked: Packet[];
  /** Resolves with the first query. */
  readonly firstAsked: Promise<void>;
}

type Respond = (query: DecodedPacket, bytes: Buffer, protocol: "udp" | "tcp") => readonly Buffer[];

async function startResolver(host: string, respond: Respond, port?: number): Promise<Resolver> {
  const chosen = port ?? (await findFreePort());
  const asked: Packet[] = [];
  const udp = createSocket("udp4");
  const firstAsked = new Promise<void>((resolve) => udp.once("message", () => resolve()));
  udp.on("message", (bytes, peer) => {
    const query = decode(bytes) as DecodedPacket;
    asked.push(query);
    for (const answer of respond(query, bytes, "udp")) udp.send(answer, peer.port, peer.address);
  });
  const tcp: Server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (data) => {
      const bytes = data.subarray(2);
      const query = decode(bytes) as DecodedPacket;
      asked.push(query);
      for (const answer of respond(query, bytes, "tcp")) socket.write(frame(answer));
    });
    closers.push(() => void socket.destroy());
  });
  await new Promise<void>((resolve) => udp.bind(chosen, host, resolve));
  await new Promise<void>((resolve) => tcp.listen(chosen, host, resolve));
  closers.push(() => new Promise((resolve) => udp.close(() => resolve())));
  closers.push(() => void tcp.close());
  return { port: chosen, asked, firstAsked };
}

function frame(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

function answerOf(query: DecodedPacket, answers: Answer[], more: Partial<Packet> = {}): Buffer {
  return encode({ type: "response", id: query.id ?? 0, questions: query.questions ?? [], answers, ...more });
}

const address = (name: string, data: string): Answer => ({ type: "A", name, ttl: 5, data });
/** Answers every name with one address. */
const always =
  (data: string): Respond =>
  (query) => [answerOf(query, [address(query.questions?.[0]?.name ?? "", data)])];

interface Rig {
  readonly server: DnsServer;
  readonly port: number;
}

async function startServer(options: Partial<DnsServerOptions> = {}, isReady = true): Promise<Rig> {
  const port = await findFreePort();
  const server = await startDnsServer({
    address: `127.0.0.1:${port}`,
    resolvConf: { nameservers: [], search: ["shop.svc.cluster.local"], ndots: 5 },
    proxyNamespace: "shop",
    proxyDomain: "shop.svc.cluster.local",
    forwardParallel: false,
    forwardTimeoutMs: 60_000,
    clock: systemClock,
    log: silentLog,
    ...options,
  });
  closers.push(() => server.stop());
  if (isReady) server.setTable(table);
  return { server, port };
}

function openClient(): Promise<UdpSocket> {
  const socket = createSocket("udp4");
  closers.push(() => new Promise((resolve) => socket.close(() => resolve())));
  return new Promise((resolve) => socket.bind(0, "127.0.0.1", () => resolve(socket)));
}

async function askRaw({ port }: Rig, message: Buffer): Promise<Buffer> {
  const socket = await openClient();
  return new Promise((resolve) => {
    socket.once("message", resolve);
    socket.send(message, port, "127.0.0.1");
  });
}

function buildQuery(name: string, type: "A" | "AAAA" | "TXT" = "A"): Buffer {
  return encode({ type: "query", id: 77, flags: 0x0100, questions: [{ name, type }] });
}

async function ask(rig: Rig, name: string, type: "A" | "AAAA" | "TXT" = "A"): Promise<DecodedPacket> {
  return decode(await askRaw(rig, buildQuery(name, type))) as DecodedPacket;
}

async function askTcp({ port }: Rig, parts: readonly Buffer[]): Promise<DecodedPacket> {
  const socket = createConnection({ port, host: "127.0.0.1" });
  closers.push(() => void socket.destroy());
  const answer = new Promise<DecodedPacket>((resolve, reject) => {
    let data = Buffer.alloc(0);
    socket.on("error", reject).on("close", () => reject(new Error("closed")));
    socket.on("data", (chunk) => {
      data = Buffer.concat([data, chunk]);
      if (data.length > 2 && data.length >= 2 + data.readUInt16BE(0))
        resolve(decode(data.subarray(2)) as DecodedPacket);
    });
  });
  for (const part of parts) {
    await new Promise<void>((resolve, reject) => socket.write(part, (error) => (error ? reject(error) : resolve())));
  }
  return answer;
}

const dataOf = (packet: DecodedPacket): readonly unknown[] =>
  (packet.answers ?? []).map((record) => ("data" in record ? record.data : undefined));

it.each([
  ["A of a service", "reviews.shop.svc.cluster.local", "A", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]],
  ["A of a short name", "reviews", "A", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]],
  ["no AAAA of a name that has A alone", "reviews", "AAAA", []],
  ["A of a name with both families", "both.example", "A", ["198.51.100.1"]],
  ["AAAA of a name with both families", "both.example", "AAAA", ["2001:db8::1"]],
  ["a wildcard under the name that was asked", "Any.wild.example", "A", ["198.51.100.7"]],
] as const)("answers %s, with authority and Istio's time to live", async (_, name, type, addresses) => {
  const answer = await ask(await startServer(), name, type);
  expect(answer).toMatchObject({
    id: 77,
    type: "response",
    flag_aa: true,
    flag_tc: false,
    flag_rd: true,
    rcode: "NOERROR",
  });
  expect(answer.questions).toEqual([{ name, type, class: "IN" }]);
  expect(dataOf(answer)).toEqual(addresses);
  for (const record of answer.answers ?? []) expect(record).toMatchObject({ name, type, ttl: 30, class: "IN" });
});

it("answers a name with the search domain by the name itself, in one answer", async () => {
  const answer = await ask(await startServer(), "both.example.shop.svc.cluster.local");
  expect(answer.answers).toMatchObject([
    { type: "CNAME", name: "both.example.shop.svc.cluster.local", data: "both.example", ttl: 30 },
    { type: "A", name: "both.example", data: "198.51.100.1", ttl: 30 },
  ]);
});

it("puts each address first in turn", async () => {
  const rig = await startServer();
  const firsts: unknown[] = [];
  for (let index = 0; index < 6; index += 1) {
    firsts.push(dataOf(await ask(rig, "reviews"))[0]);
    // The other family has turns of its own.
    await ask(rig, "reviews", "AAAA");
  }
  expect(firsts).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1", "10.0.0.2", "10.0.0.3"]);
});

it("fails before the first table and follows each later one", async () => {
  const rig = await startServer({}, false);
  expect(rig.server.isReady()).toBe(false);
  expect(rig.server.describe()).toBeUndefined();
  expect(await ask(rig, "both.example")).toMatchObject({ rcode: "SERVFAIL" });
  rig.server.setTable(table);
  expect(rig.server.isReady()).toBe(true);
  expect(rig.server.describe()).toMatchObject({ table: { "both.example": { registry: "External" } } });
  expect(dataOf(await ask(rig, "both.example"))).toEqual(["198.51.100.1"]);
  rig.server.setTable({ table: { "both.example": { ips: ["198.51.100.9"], registry: "External" } } });
  expect(dataOf(await ask(rig, "both.example"))).toEqual(["198.51.100.9"]);
});

it("forwards before the first table where it stands in for the system's own server", async () => {
  const { port } = await startResolver("127.0.0.1", always("203.0.113.5"));
  const resolvConf = { nameservers: ["127.0.0.1"], search: [], ndots: 1 };
  const rig = await startServer({ resolvConf, resolverPort: port, forwardsBeforeTable: true }, false);
  expect(dataOf(await ask(rig, "both.example"))).toEqual(["203.0.113.5"]);
});

it("says that an answer is too large for UDP, and gives it whole over TCP or to who takes more", async () => {
  const rig = await startServer();
  const short = await ask(rig, "many.example");
  expect(short).toMatchObject({ flag_tc: true, flag_aa: true, answers: [] });
  expect(dataOf(await askTcp(rig, [frame(buildQuery("many.example"))]))).toHaveLength(60);
  // Root, OPT, 4096 bytes.
  const edns = Buffer.concat([buildQuery("many.example"), Buffer.from([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0])]);
  edns.writeUInt16BE(1, 10);
  const wide = decode(await askRaw(rig, edns)) as DecodedPacket;
  expect(wide.flag_tc).toBe(false);
  expect([...dataOf(wide)].sort()).toEqual([...manyAddresses].sort());
  expect(wide.additionals).toMatchObject([{ type: "OPT", udpPayloadSize: 1232 }]);
});

it("reads queries over TCP that come in pieces, several on one connection", async () => {
  const rig = await startServer();
  const message = frame(buildQuery("both.example"));
  const pieces = [...message].map((byte) => Buffer.from([byte]));
  expect(dataOf(await askTcp(rig, pieces))).toEqual(["198.51.100.1"]);
  const two = Buffer.concat([message, message.subarray(0, 5)]);
  expect(dataOf(await askTcp(rig, [two]))).toEqual(["198.51.100.1"]);
});

it("forwards unknown names and other types, each under an id of its own, and gives the answer under the client's", async () => {
  const resolver = await startResolver("127.0.0.1", always("203.0.113.1"));
  const resolvConf = { nameservers: ["127.0.0.1"], search: [], ndots: 1 };
  const rig = await startServer({ resolvConf, resolverPort: resolver.port });
  const names = Array.from({ length: 30 }, (_, index) => `n${index}.unknown.test`);
  const answers = await Promise.all(names.map((name) => ask(rig, name)));
  expect(answers.map(({ id }) => id)).toEqual(names.map(() => 77));
  expect(answers.map(({ questions }) => questions?.[0]?.name)).toEqual(names);
  expect(answers.flatMap(dataOf)).toEqual(names.map(() => "203.0.113.1"));
  expect(new Set(resolver.asked.map(({ id }) => id)).size).toBeGreaterThan(20);
  await ask(rig, "both.example", "TXT");
  expect(resolver.asked.at(-1)?.questions).toMatchObject([{ name: "both.example", type: "TXT" }]);
  expect(rig.server.counts()).toEqual({ requests: 31, forwarded: 31, failed: 0 });
});

it("takes no answer that does not fit the question", async () => {
  const resolver = await startResolver("127.0.0.1", (query) => {
    const name = query.questions?.[0]?.name ?? "";
    const wrongId = answerOf({ ...query, id: ((query.id ?? 0) + 1) % 0x1_0000 }, [address(name, "203.0.113.66")]);
    const wrongName = answerOf({ ...query, questions: [{ name: "evil.test", type: "A" }] }, [
      address(name, "203.0.113.66"),
    ]);
    const echo = encode({ type: "query", id: query.id ?? 0, questions: query.questions ?? [] });
    return [Buffer.from([1]), wrongId, wrongName, echo, answerOf(query, [address(name, "203.0.113.2")])];
  });
  const resolvConf = { nameservers: ["127.0.0.1"], search: [], ndots: 1 };
  const rig = await startServer({ resolvConf, resolverPort: resolver.port });
  expect(dataOf(await ask(rig, "unknown.test"))).toEqual(["203.0.113.2"]);
});

it("goes on to the next resolver where one refuses or stays silent, and fails where all do", async () => {
  const silent = await startResolver("127.0.0.2", () => []);
  await startResolver("127.0.0.3", always("203.0.113.3"), silent.port);
  // Nothing listens on 127.0.0.4.
  const resolvConf = { nameservers: ["127.0.0.4", "127.0.0.2", "127.0.0.3"], search: [], ndots: 1 };
  const options = { resolverPort: silent.port, forwardTimeoutMs: 300 };
  const rig = await startServer({ ...options, resolvConf });
  expect(dataOf(await ask(rig, "unknown.test"))).toEqual(["203.0.113.3"]);
  expect(silent.asked).toHaveLength(1);
  expect(dataOf(await askTcp(rig, [frame(buildQuery("unknown.test"))]))).toEqual(["203.0.113.3"]);
  const lost = await startServer({
    ...options,
    resolvConf: { ...resolvConf, nameservers: ["127.0.0.4", "127.0.0.2"] },
  });
  expect(await ask(lost, "unknown.test")).toMatchObject({ rcode: "SERVFAIL", answers: [] });
  expect(lost.server.counts()).toEqual({ requests: 1, forwarded: 1, failed: 1 });
});

it("asks all resolvers at once where it is told to", async () => {
  const silent = await startResolver("127.0.0.2", () => []);
  await startResolver("127.0.0.3", always("203.0.113.4"), silent.port);
  const resolvConf = { nameservers: ["127.0.0.2", "127.0.0.3"], search: [], ndots: 1 };
  // The silent one would hold the question for an hour.
  const rig = await startServer({
    resolvConf,
    resolverPort: silent.port,
    forwardParallel: true,
    forwardTimeoutMs: 3_600_000,
  });
  expect(dataOf(await ask(rig, "unknown.test"))).toEqual(["203.0.113.4"]);
  const lost = await startServer({
    resolvConf: { ...resolvConf, nameservers: ["127.0.0.4", "127.0.0.5"] },
    resolverPort: silent.port,
    forwardParallel: true,
  });
  expect(await ask(lost, "unknown.test")).toMatchObject({ rcode: "SERVFAIL" });
});

it("asks a resolver over the protocol of its client, and passes its errors and truncation on", async () => {
  const protocols: string[] = [];
  const resolver = await startResolver("127.0.0.1", (query, _, protocol) => {
    protocols.push(protocol);
    if (protocol === "udp") return [answerOf(query, [], { flags: 0x0200 })];
    return [answerOf(query, [], { flags: 3 })];
  });
  const resolvConf = { nameservers: ["127.0.0.1"], search: [], ndots: 1 };
  const rig = await startServer({ resolvConf, resolverPort: resolver.port });
  expect(await ask(rig, "unknown.test")).toMatchObject({ flag_tc: true, answers: [] });
  expect(await askTcp(rig, [frame(buildQuery("unknown.test"))])).toMatchObject({ rcode: "NXDOMAIN" });
  expect(protocols).toEqual(["udp", "tcp"]);
});

it("cuts a forwarded answer that is larger than its client takes", async () => {
  const answers = manyAddresses.map((data) => address("unknown.test", data));
  const resolver = await startResolver("127.0.0.1", (query) => [answerOf(query, answers)]);
  const resolvConf = { nameservers: ["127.0.0.1"], search: [], ndots: 1 };
  const rig = await startServer({ resolvConf, resolverPort: resolver.port });
  const bytes = await askRaw(rig, buildQuery("unknown.test"));
  expect(bytes.length).toBeLessThanOrEqual(512);
  expect(decode(bytes)).toMatchObject({ flag_tc: true, answers: [] });
  expect(dataOf(await askTcp(rig, [frame(buildQuery("unknown.test"))]))).toHaveLength(60);
});

it("survives whatever is sent to it", async () => {
  const rig = await startServer();
  const good = buildQuery("both.example");
  const hostile = [
    Buffer.alloc(0),
    Buffer.from([1, 2, 3]),
    Buffer.alloc(600, 0xff),
    good.subarray(0, 15),
    // A name that points at itself.
    Buffer.concat([good.subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])]),
    // An additional record that points at itself.
    Buffer.concat([
      good.subarray(0, 10),
      Buffer.from([0, 1]),
      good.subarray(12),
      Buffer.from([0xc0, good.length, 0, 1]),
    ]),
    // An answer: to answer it would be the start of a loop.
    encode({ type: "response", id: 1, questions: [{ name: "both.example", type: "A" }] }),
    ...Array.from({ length: 300 }, (_, index) => mutate(good, index)),
  ];
  const socket = await openClient();
  for (const message of hostile) socket.send(message, rig.port, "127.0.0.1");
  const connection = createConnection({ port: rig.port, host: "127.0.0.1" });
  connection.on("error", () => undefined).on("connect", () => connection.end(Buffer.concat(hostile)));
  await new Promise((resolve) => connection.resume().on("close", resolve));
  expect(dataOf(await ask(rig, "both.example"))).toEqual(["198.51.100.1"]);
});

/** The query with two bytes changed; the same for the same number. */
function mutate(message: Buffer, seed: number): Buffer {
  const copy = Buffer.from(message);
  for (const factor of [7919, 104_729]) copy[(seed * factor) % copy.length] = (seed * factor * 31) % 256;
  return copy;
}

it.each([
  ["no question", { questions: [] }, "FORMERR"],
  [
    "two questions",
    {
      questions: [
        { name: "a.test", type: "A" },
        { name: "b.test", type: "A" },
      ],
    },
    "FORMERR",
  ],
] as const)("refuses a query with %s", async (_, parts, rcode) => {
  const query = encode({ type: "query", id: 5, questions: parts.questions.map((question) => ({ ...question })) });
  expect(decode(await askRaw(await startServer(), query))).toMatchObject({ id: 5, rcode });
});

it("refuses what is no query by its operation", async () => {
  const notify = buildQuery("both.example");
  notify.writeUInt16BE(4 << 11, 2);
  expect(decode(await askRaw(await startServer(), notify))).toMatchObject({ id: 77, rcode: "NOTIMP" });
});

it("does not hold anything after its end, queries in the middle included", async () => {
  const silent = await startResolver("127.0.0.1", () => []);
  const resolvConf = { nameservers: ["127.0.0.1"], search: [], ndots: 1 };
  const rig = await startServer({ resolvConf, resolverPort: silent.port });
  const socket = await openClient();
  socket.send(buildQuery("unknown.test"), rig.port, "127.0.0.1");
  await silent.firstAsked;
  await rig.server.stop();
  // The port is free again.
  const again = await startServer({ address: `127.0.0.1:${rig.port}` });
  expect(again.server.isReady()).toBe(true);
});

it("refuses an address without a port", async () => {
  await expect(startServer({ address: "localhost" })).rejects.toThrow("not an address with a port");
});
