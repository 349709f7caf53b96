/** Reads answers of HTTP/1.1 that follow one another, of which at most one is under way. */
export interface AnswerReader {
  /** Says whether an answer is whole with this. Throws where it is not the expected one. */
  take(data: Buffer): boolean;
}

const [endOfHead, statusLine] = [Buffer.from("\r\n\r\n"), Buffer.from("HTTP/1.1 200 ")];

/**
 * Expects 200, the length of `body`, and nothing after it. What a body says is compared in the first answer alone: it
 * would cost as much as the rest together.
 */
export function createAnswerReader(body: Buffer): AnswerReader {
  let [cut, left, isFirst] = [Buffer.alloc(0), 0, true];
  const takeHead = (data: Buffer): number => {
    const end = data.indexOf(endOfHead);
    if (end < 0) {
      cut = Buffer.from(data);
      return data.length;
    }
    if (statusLine.compare(data, 0, statusLine.length) !== 0) fail("an answer begins with", data.subarray(0, end));
    if (isFirst) checkLength(data.toString("latin1", 0, end), body.length);
    cut = Buffer.alloc(0);
    left = body.length;
    return end + endOfHead.length;
  };
  return {
    take(chunk) {
      const data = cut.length === 0 ? chunk : Buffer.concat([cut, chunk]);
      const at = left === 0 ? takeHead(data) : 0;
      if (cut.length > 0) return false;
      const taken = data.length - at;
      if (taken > left) fail("more came than the answer:", data.subarray(at + left));
      const from = body.length - left;
      if (isFirst && body.compare(data, at, at + taken, from, from + taken) !== 0)
        fail("a body with", data.subarray(at));
      left -= taken;
      isFirst &&= left > 0;
      return left === 0;
    },
  };
}

function checkLength(head: string, length: number): void {
  const given = /^content-length: *(\d+)$/im.exec(head.replaceAll("\r", ""))?.[1];
  if (given !== String(length)) throw new Error(`${length} bytes were expected, and this came:\n${head}`);
}

function fail(what: string, data: Buffer): never {
  throw new Error(`${what} ${JSON.stringify(data.toString("latin1", 0, 200))}`);
}
