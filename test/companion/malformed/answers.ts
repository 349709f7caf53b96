/** The answers in what a client of HTTP/1.1 got, read by the letter, as a client would compare them. */

export interface ClientAnswer {
  readonly status: number;
  /** In order, without those that are made anew for each answer. */
  readonly headers: readonly string[];
  readonly body: string;
  /** False where it breaks off. */
  readonly isWhole: boolean;
}

const made = /^(?:date|x-envoy-upstream-service-time|server): /;
const interim = 200;

/** `methods`: of the requests that were sent, in order. */
export function parseAnswers(text: string, methods: readonly string[]): readonly ClientAnswer[] {
  const answers: ClientAnswer[] = [];
  const waiting = [...methods];
  let rest = text;
  while (rest !== "") {
    const end = rest.indexOf("\r\n\r\n");
    const [line = "", ...lines] = (end < 0 ? rest : rest.slice(0, end)).split("\r\n");
    const status = Number(/^HTTP\/1\.[01] (\d{3,4})(?: |$)/.exec(line)?.[1] ?? 0);
    const headers = lines.filter((each) => !made.test(each)).sort();
    if (end < 0 || status === 0) return [...answers, { status, headers, body: rest, isWhole: false }];
    const method = status < interim && status !== 101 ? "" : (waiting.shift() ?? "");
    const body = parseBody(rest.slice(end + 4), { status, lines, method });
    answers.push({ status, headers, body: body.text, isWhole: body.isWhole });
    rest = body.rest;
  }
  return answers;
}

interface Body {
  readonly text: string;
  readonly rest: string;
  readonly isWhole: boolean;
}

interface Head {
  readonly status: number;
  readonly lines: readonly string[];
  readonly method: string;
}

function parseBody(text: string, { status, lines, method }: Head): Body {
  const find = (name: string): string | undefined =>
    lines
      .find((line) => line.startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim();
  if (status < interim || status === 204 || status === 304 || method === "HEAD")
    return { text: "", rest: text, isWhole: true };
  if (find("transfer-encoding") === "chunked") return parseChunks(text);
  const length = find("content-length");
  if (length === undefined) return { text, rest: "", isWhole: find("connection") === "close" };
  return {
    text: text.slice(0, Number(length)),
    rest: text.slice(Number(length)),
    isWhole: text.length >= Number(length),
  };
}

function parseChunks(text: string): Body {
  let content = "";
  let at = 0;
  for (;;) {
    const end = text.indexOf("\r\n", at);
    if (end < 0) return { text: content, rest: "", isWhole: false };
    const size = Number.parseInt(text.slice(at, end), 16);
    if (size === 0) {
      const last = text.indexOf("\r\n\r\n", end);
      if (last < 0) return { text: content, rest: "", isWhole: false };
      return { text: content + text.slice(end + 2, last), rest: text.slice(last + 4), isWhole: true };
    }
    content += text.slice(end + 2, end + 2 + size);
    at = end + 2 + size + 2;
  }
}
