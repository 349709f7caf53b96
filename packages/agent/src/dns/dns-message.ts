/** DNS messages (RFC 1035, EDNS by RFC 6891): queries in, answers out. */
import { type DecodedPacket, decode } from "dns-packet";

/** RFC 1035, 4.1.1. */
export const responseCodes = { success: 0, formatError: 1, serverFailure: 2, notImplemented: 4, refused: 5 } as const;
export type ResponseCode = (typeof responseCodes)[keyof typeof responseCodes];

export const recordTypes = { a: 1, cname: 5, aaaa: 28, opt: 41 } as const;

const classInternet = 1;
const headerBytes = 12;
const flagResponse = 0x8000;
const flagAuthoritative = 0x0400;
const flagTruncated = 0x0200;
const flagRecursionDesired = 0x0100;
const flagRecursionAvailable = 0x0080;
const opcodeMask = 0x7800;
/** What fits into an answer over UDP where the query does not say (RFC 1035, 2.3.4). */
const minUdpBytes = 512;
/** What we say that we take over UDP ourselves: the size that is not fragmented anywhere (DNS flag day 2020). */
const ownUdpBytes = 1232;
/** Istio's: short, so that clients notice changes. */
const ttlSeconds = 30;

export interface Query {
  /** As it came. */
  readonly message: Buffer;
  /** With a dot at the end, in the case of the client. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** The question section, byte by byte. */
  readonly question: Buffer;
  readonly hasEdns: boolean;
  /** The most bytes of an answer over UDP. */
  readonly maxUdpBytes: number;
}

export type ReadResult =
  | { readonly kind: "query"; readonly query: Query }
  /** To be answered with the code alone. */
  | { readonly kind: "refused"; readonly code: ResponseCode }
  /** Not even worth an answer: no header, or itself an answer. */
  | { readonly kind: "ignored" };

/** Reads a query; never throws, whatever the bytes are. */
export function readQuery(message: Buffer): ReadResult {
  if (message.length < headerBytes) return { kind: "ignored" };
  const flags = message.readUInt16BE(2);
  // To answer answers would let two servers talk for ever.
  if ((flags & flagResponse) !== 0) return { kind: "ignored" };
  if ((flags & opcodeMask) !== 0) return { kind: "refused", code: responseCodes.notImplemented };
  const question = findQuestion(message);
  if (question === undefined) return { kind: "refused", code: responseCodes.formatError };
  const packet = decodeSafely(message);
  if (packet === undefined) return { kind: "refused", code: responseCodes.formatError };
  const edns = packet.additionals?.find((record) => record.type === "OPT");
  const query = {
    message,
    ...question,
    hasEdns: edns !== undefined,
    maxUdpBytes: Math.max(minUdpBytes, edns?.type === "OPT" ? (edns.udpPayloadSize ?? 0) : 0),
  };
  return { kind: "query", query };
}

function decodeSafely(message: Buffer): DecodedPacket | undefined {
  try {
    return decode(message) as DecodedPacket;
  } catch {
    return undefined;
  }
}

/** The only question; undefined where there is another number of them, or its name is cut off or compressed. */
function findQuestion(message: Buffer): Pick<Query, "name" | "type" | "class" | "question"> | undefined {
  if (message.readUInt16BE(4) !== 1) return undefined;
  const labels: string[] = [];
  let offset = headerBytes;
  for (;;) {
    const length = message[offset];
    if (length === undefined || length > 63 || offset + length + 5 > message.length) return undefined;
    offset += 1;
    if (length === 0) break;
    labels.push(message.toString("latin1", offset, offset + length));
    offset += length;
  }
  return {
    name: `${labels.join(".")}.`,
    type: message.readUInt16BE(offset),
    class: message.readUInt16BE(offset + 2),
    question: message.subarray(headerBytes, offset + 4),
  };
}

/** True for questions that the name table can answer. */
export function asksForAddress({ type, class: queryClass }: Query): boolean {
  return queryClass === classInternet && (type === recordTypes.a || type === recordTypes.aaaa);
}

/** Builds an authoritative answer: `addresses` of the question, or of the name that it stands for. */
export function buildAnswer(query: Query, addresses: readonly Uint8Array[], canonicalName: string | undefined): Buffer {
  // The name of the question is twelve bytes into the message (RFC 1035, 4.1.4).
  const questionPointer = 0xc000 | headerBytes;
  const alias = canonicalName === undefined || addresses.length === 0 ? undefined : formatName(canonicalName);
  const records: Buffer[] = [];
  let owner = questionPointer;
  if (alias !== undefined) {
    records.push(buildRecord(questionPointer, recordTypes.cname, alias));
    owner = 0xc000 | (headerBytes + query.question.length + recordHeadBytes);
  }
  for (const address of addresses) records.push(buildRecord(owner, query.type, address));
  return assemble(query, { code: responseCodes.success, flags: flagAuthoritative, records });
}

/** A name with a dot at its end, as labels with their lengths. */
function formatName(name: string): Buffer {
  return Buffer.concat(name.split(".").flatMap((label) => [Buffer.from([label.length]), Buffer.from(label, "latin1")]));
}

/** Bytes of a record before its data, the owner being a pointer. */
const recordHeadBytes = 12;

function buildRecord(owner: number, type: number, data: Uint8Array): Buffer {
  const head = Buffer.alloc(recordHeadBytes);
  head.writeUInt16BE(owner, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(classInternet, 4);
  head.writeUInt32BE(ttlSeconds, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

/** Builds an answer of a query that was understood and gets none. */
export function buildFailure(query: Query, code: ResponseCode): Buffer {
  return assemble(query, { code, flags: 0, records: [] });
}

/** Builds an answer to a message that is no proper query: header and code. */
export function buildRefusal(message: Buffer, code: ResponseCode): Buffer {
  const head = Buffer.alloc(headerBytes);
  message.copy(head, 0, 0, 4);
  head.writeUInt16BE(flagResponse | (message.readUInt16BE(2) & (opcodeMask | flagRecursionDesired)) | code, 2);
  return head;
}

interface Parts {
  readonly code: ResponseCode;
  readonly flags: number;
  readonly records: readonly Buffer[];
}

function assemble(query: Query, { code, flags, records }: Parts): Buffer {
  const head = Buffer.alloc(headerBytes);
  query.message.copy(head, 0, 0, 2);
  const asked = query.message.readUInt16BE(2) & flagRecursionDesired;
  head.writeUInt16BE(flagResponse | flagRecursionAvailable | asked | flags | code, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt16BE(query.hasEdns ? 1 : 0, 10);
  return Buffer.concat([head, query.question, ...records, ...(query.hasEdns ? [ednsRecord] : [])]);
}

const ednsRecord = (() => {
  const record = Buffer.alloc(11);
  record.writeUInt16BE(recordTypes.opt, 1);
  record.writeUInt16BE(ownUdpBytes, 3);
  return record;
})();

/** The answer as it fits into `maxBytes`: where it is larger, its question alone, marked so that the client asks by TCP. */
export function fitAnswer(query: Query, answer: Buffer, maxBytes: number): Buffer {
  if (answer.length <= maxBytes) return answer;
  const code = (answer.readUInt16BE(2) & 0x000f) as ResponseCode;
  return assemble(query, { code, flags: flagTruncated | (answer.readUInt16BE(2) & flagAuthoritative), records: [] });
}

/** The message under another id. */
export function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** True for an answer to `query` under `id`: whoever sends something else knows neither. */
export function isAnswerTo(query: Query, id: number, answer: Buffer): boolean {
  if (answer.length < headerBytes || answer.readUInt16BE(0) !== id) return false;
  if ((answer.readUInt16BE(2) & flagResponse) === 0) return false;
  // Some servers leave the question out where they report an error.
  if (answer.readUInt16BE(4) === 0) return (answer.readUInt16BE(2) & 0x000f) !== 0;
  const question = answer.subarray(headerBytes, headerBytes + query.question.length);
  return question.toString("latin1").toLowerCase() === query.question.toString("latin1").toLowerCase();
}
