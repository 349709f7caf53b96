/** A DNS server on the loopback address: a table of names with IPv4 addresses (RFC 1035, 4.1). */
import { createSocket } from "node:dgram";

export interface DnsServer {
  readonly port: number;
  /** Names that were asked for, in lower case. */
  readonly asked: readonly string[];
  stop(): Promise<void>;
}

/** Addresses of a name in lower case; undefined where there is no such name. */
export type DnsTable = (name: string) => readonly string[] | undefined;

const typeA = 1;
const classIn = 1;
const ttlSeconds = 1;

/** Serves over UDP. A known name without addresses of the asked type has an empty answer, an unknown one NXDOMAIN. */
export async function startDnsServer(table: DnsTable): Promise<DnsServer> {
  const asked: string[] = [];
  const socket = createSocket("udp4");
  socket.on("message", (query, peer) => {
    const question = readQuestion(query);
    if (question === undefined) return;
    asked.push(question.name);
    socket.send(buildResponse(query, question, table(question.name)), peer.port, peer.address);
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(0, "127.0.0.1", resolve);
  });
  return {
    port: socket.address().port,
    asked,
    stop: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

interface Question {
  readonly name: string;
  readonly type: number;
  /** Offset behind the question. */
  readonly end: number;
}

/** The first question of a query; undefined where the packet is too short for one. */
function readQuestion(query: Buffer): Question | undefined {
  const labels: string[] = [];
  let offset = 12;
  for (;;) {
    const length = query[offset];
    if (length === undefined || offset + length + 5 > query.length) return undefined;
    offset += 1;
    if (length === 0) break;
    labels.push(query.toString("latin1", offset, offset + length));
    offset += length;
  }
  return { name: labels.join(".").toLowerCase(), type: query.readUInt16BE(offset), end: offset + 4 };
}

function buildResponse(query: Buffer, { type, end }: Question, addresses: readonly string[] | undefined): Buffer {
  const answers = type === typeA ? (addresses ?? []).map(buildAnswer) : [];
  const head = Buffer.alloc(12);
  query.copy(head, 0, 0, 2);
  // A response, authoritative, recursion as asked and available; code 3 is "no such name".
  head.writeUInt16BE(0x8480 | (query.readUInt16BE(2) & 0x0100) | (addresses === undefined ? 3 : 0), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(answers.length, 6);
  return Buffer.concat([head, query.subarray(12, end), ...answers]);
}

function buildAnswer(address: string): Buffer {
  const answer = Buffer.alloc(16);
  // The name is that of the question, 12 bytes into the packet.
  answer.writeUInt16BE(0xc00c, 0);
  answer.writeUInt16BE(typeA, 2);
  answer.writeUInt16BE(classIn, 4);
  answer.writeUInt32BE(ttlSeconds, 6);
  answer.writeUInt16BE(4, 10);
  Buffer.from(address.split(".").map(Number)).copy(answer, 12);
  return answer;
}
