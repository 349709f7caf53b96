/** Messages of MongoDB's older wire protocol, as far as statistics need them. */
export type MongoMessage =
  | {
      readonly op: "query";
      readonly flags: number;
      readonly collection: string;
      /** The first member of the query: of a command its name. */
      readonly firstKey: string;
      readonly hasMaxTime: boolean;
    }
  | { readonly op: "reply"; readonly flags: number; readonly hasCursor: boolean }
  | { readonly op: "insert"; readonly collection: string }
  | { readonly op: "get_more" | "kill_cursors" | "command" | "command_reply" };

const headLength = 16;
/** MongoDB's own limit for messages, and some. */
const maxMessageLength = 50_000_000;

const operations: Readonly<Record<number, MongoMessage["op"]>> = {
  1: "reply",
  2002: "insert",
  2004: "query",
  2005: "get_more",
  2007: "kill_cursors",
  2010: "command",
  2011: "command_reply",
};

/** Reads one direction of a connection. */
export class MongoReader {
  #rest: Buffer = Buffer.alloc(0);

  /** The messages that are whole now; undefined where this is no protocol that can be read. */
  read(chunk: Uint8Array): readonly MongoMessage[] | undefined {
    this.#rest = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    const messages: MongoMessage[] = [];
    while (this.#rest.length >= headLength) {
      const length = this.#rest.readInt32LE(0);
      const op = operations[this.#rest.readInt32LE(12)];
      if (length < headLength || length > maxMessageLength || op === undefined) return this.#giveUp();
      if (this.#rest.length < length) break;
      const message = parseMessage(op, this.#rest.subarray(headLength, length));
      if (message === undefined) return this.#giveUp();
      messages.push(message);
      this.#rest = this.#rest.subarray(length);
    }
    return messages;
  }

  #giveUp(): undefined {
    this.#rest = Buffer.alloc(0);
    return undefined;
  }
}

function parseMessage(op: MongoMessage["op"], body: Buffer): MongoMessage | undefined {
  try {
    if (op === "query") return parseQuery(body);
    if (op === "insert") return { op, collection: readCollection(body).name };
    if (op === "reply") return { op, flags: body.readInt32LE(0), hasCursor: body.readBigInt64LE(4) !== 0n };
    return { op };
  } catch (cause: unknown) {
    if (cause instanceof RangeError) return undefined;
    throw cause;
  }
}

/** flags, name of the collection, numbers to skip and to return, then the query itself in BSON. */
function parseQuery(body: Buffer): MongoMessage {
  const flags = body.readInt32LE(0);
  const { name: collection, end } = readCollection(body);
  const document = body.subarray(end + 1 + 8);
  const documentLength = document.readInt32LE(0);
  if (documentLength < 5 || documentLength > document.length) throw new RangeError("no document");
  const type = document.readUInt8(4);
  const keyEnd = type === 0 ? 5 : document.indexOf(0, 5);
  if (keyEnd < 0) throw new RangeError("no end of a key");
  return {
    op: "query",
    flags,
    collection,
    firstKey: type === 0 ? "" : document.toString("utf8", 5, keyEnd),
    hasMaxTime: document.subarray(0, documentLength).includes("$maxTimeMS\u0000"),
  };
}

/** The name stands after four bytes of flags, with a zero at its end. */
function readCollection(body: Buffer): { readonly name: string; readonly end: number } {
  const end = body.indexOf(0, 4);
  if (end < 0) throw new RangeError("no end of the collection's name");
  return { name: body.toString("utf8", 4, end), end };
}
