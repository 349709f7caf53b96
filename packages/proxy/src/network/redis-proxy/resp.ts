/** Redis' serialization protocol, RESP2: https://redis.io/docs/latest/develop/reference/protocol-spec/ */

/** What came is no RESP. */
export class RespError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "RespError";
  }
}

/** Redis' own limits for one text and for the number of members. */
const maxTextLength = 512 * 1024 * 1024;
const maxMembers = 1024 * 1024;
const maxDepth = 16;
const maxLineLength = 65_536;

/** Splits one direction of a connection into values. */
export class RespReader<Value> {
  readonly #parse: (bytes: Buffer, end: number) => Value;
  #rest: Buffer = Buffer.alloc(0);

  /** `parse` makes of the bytes of one value, up to `end`, what is wanted of it. */
  constructor(parse: (bytes: Buffer, end: number) => Value) {
    this.#parse = parse;
  }

  /** The values that are whole now. Throws RespError. */
  read(chunk: Uint8Array): readonly Value[] {
    this.#rest = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    const values: Value[] = [];
    for (let end = findEnd(this.#rest, 0, 0); end !== undefined; end = findEnd(this.#rest, 0, 0)) {
      values.push(this.#parse(this.#rest, end));
      this.#rest = this.#rest.subarray(end);
    }
    return values;
  }
}

/** Where the value that begins at `start` ends; undefined where it is not all there. */
function findEnd(bytes: Buffer, start: number, depth: number): number | undefined {
  const line = readLine(bytes, start);
  if (line === undefined) return undefined;
  switch (line.kind) {
    case "+":
    case "-":
    case ":":
      return line.end;
    case "$": {
      const length = parseLength(line.text, maxTextLength);
      if (length < 0) return line.end;
      const end = line.end + length + 2;
      if (bytes.length < end) return undefined;
      if (bytes[end - 2] !== 13 || bytes[end - 1] !== 10) throw new RespError("a text does not end where it should");
      return end;
    }
    case "*": {
      if (depth >= maxDepth) throw new RespError("too deep");
      return skipMembers(bytes, { start: line.end, count: parseLength(line.text, maxMembers), depth: depth + 1 });
    }
    default:
      throw new RespError("unknown kind of value");
  }
}

interface Members {
  readonly start: number;
  readonly count: number;
  readonly depth: number;
}

function skipMembers(bytes: Buffer, { start, count, depth }: Members): number | undefined {
  let end: number | undefined = start;
  for (let index = 0; index < count && end !== undefined; index += 1) end = findEnd(bytes, end, depth);
  return end;
}

interface Line {
  readonly kind: string;
  readonly text: string;
  readonly end: number;
}

function readLine(bytes: Buffer, start: number): Line | undefined {
  const end = bytes.indexOf("\r\n", start);
  if (end < 0) {
    if (bytes.length - start > maxLineLength) throw new RespError("a line is too long");
    return undefined;
  }
  if (end === start) throw new RespError("an empty line");
  return {
    kind: String.fromCharCode(bytes[start] ?? 0),
    text: bytes.toString("latin1", start + 1, end),
    end: end + 2,
  };
}

function parseLength(text: string, max: number): number {
  const length = Number(text);
  if (!/^-?\d{1,10}$/.test(text) || length < -1 || length > max) throw new RespError("no length");
  return length;
}

/** A command: the texts of an array. Throws RespError for anything else. */
export function parseCommand(bytes: Buffer, end: number): readonly Buffer[] {
  const head = readLine(bytes, 0);
  if (head?.kind !== "*") throw new RespError("no command");
  const words: Buffer[] = [];
  let offset = head.end;
  while (offset < end) {
    const line = readLine(bytes, offset);
    if (line?.kind !== "$") throw new RespError("no text");
    const length = parseLength(line.text, maxTextLength);
    if (length < 0) throw new RespError("no text");
    words.push(Buffer.from(bytes.subarray(line.end, line.end + length)));
    offset = line.end + length + 2;
  }
  if (words.length === 0) throw new RespError("an empty command");
  return words;
}

/** A value as it came. */
export function takeRaw(bytes: Buffer, end: number): Buffer {
  return Buffer.from(bytes.subarray(0, end));
}

export function encodeCommand(words: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) parts.push(encodeText(word));
  return Buffer.concat(parts);
}

export function encodeText(text: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`$${text.length}\r\n`), text, Buffer.from("\r\n")]);
}

export function encodeError(text: string): Buffer {
  return Buffer.from(`-${text.replaceAll(/[\r\n]/g, " ")}\r\n`);
}

export function isError(reply: Buffer): boolean {
  return reply[0] === 45;
}
