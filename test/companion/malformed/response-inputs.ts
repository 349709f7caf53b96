/** Answers of upstreams that are wrong, or in which two parsers may see different answers. */
import { crlf } from "./http1-input.ts";

export interface ResponseInput {
  readonly name: string;
  readonly method: "GET" | "HEAD" | "POST";
  /** What the upstream says to it; each character is a byte. */
  readonly bytes: string;
  /** True where it closes the connection then. */
  readonly isClosed: boolean;
}

type Row = readonly [name: string, bytes: string];

const ok = `HTTP/1.1 200 OK${crlf}`;
/** What an attacker would have given to the next client. */
const smuggled = `${ok}content-length: 8${crlf}x-smuggled: 1${crlf}${crlf}smuggled`;
const empty = `0${crlf}${crlf}`;

export const responseInputs: readonly ResponseInput[] = [
  ...family("status line", statusLines()),
  ...family("header", headerLines()),
  ...family("framing", framings()),
  ...family("chunks", chunks()),
  ...family("chunks, then the end", chunks().slice(0, 12), { isClosed: true }),
  ...family("trailer", trailers()),
  ...family("1xx", informational()),
  ...family("behind it", surplus()),
  ...family("HEAD", headAnswers(), { method: "HEAD" }),
  ...family("end", endings(), { isClosed: true }),
  ...family("size", sizes()),
];

function family(title: string, rows: readonly Row[], more: Partial<ResponseInput> = {}): readonly ResponseInput[] {
  return rows.map(([name, bytes]) => ({ name: `${title}: ${name}`, bytes, method: "GET", isClosed: false, ...more }));
}

function answer(lines: readonly string[], body = ""): string {
  return ok + lines.map((line) => line + crlf).join("") + crlf + body;
}

function statusLines(): readonly Row[] {
  const lines = [
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200",
    "HTTP/1.1 200 ",
    "HTTP/1.0 200 OK",
    "HTTP/1.1  200 OK",
    "HTTP/1.1 200  OK",
    "HTTP/1.1\t200 OK",
    "HTTP/1.1 20 OK",
    "HTTP/1.1 2000 OK",
    "HTTP/1.1 2x0 OK",
    "HTTP/1.1 -20 OK",
    "HTTP/1.1 099 OK",
    "HTTP/1.1 000 OK",
    "HTTP/1.1 600 X",
    "HTTP/1.1 999 X",
    "HTTP/1.1 OK",
    "HTTP/1.1",
    "HTTP/2.0 200 OK",
    "HTTP/1.2 200 OK",
    "HTTP/0.9 200 OK",
    "http/1.1 200 OK",
    "HTTP/11 200 OK",
    "ICY 200 OK",
    " HTTP/1.1 200 OK",
    "200 OK",
    "HTTP/1.1 200 O\x00K",
    "HTTP/1.1 200 \xe9",
    "HTTP/1.1 200 O\rK",
    "HTTP/1.1 200OK",
    "XHTTP/1.1 200 OK",
    "GET / HTTP/1.1",
  ];
  return [
    ...lines.map((line): Row => [JSON.stringify(line), `${line}${crlf}content-length: 2${crlf}${crlf}ok`]),
    ["an empty line before", `${crlf}${answer(["content-length: 2"], "ok")}`],
    ["LF alone", "HTTP/1.1 200 OK\ncontent-length: 2\n\nok"],
    ["LF alone after it", `HTTP/1.1 200 OK\ncontent-length: 2${crlf}${crlf}ok`],
    ["no answer but bytes", "\x00\x01\x02\x03garbage"],
    ["HTML", "<html></html>"],
    ["TLS", "\x15\x03\x01\x00\x02\x02\x46"],
    ["frames of HTTP/2", "\x00\x00\x00\x04\x00\x00\x00\x00\x00"],
  ];
}

function headerLines(): readonly Row[] {
  const lines = [
    "x: 1",
    "x:1",
    "x:",
    "x : 1",
    "x",
    ": 1",
    "x y: 1",
    " x: 1",
    "x: a\x00b",
    "x: a\rb",
    "x: a\nb",
    "x: \x7f",
    "x: \xe9",
    "x: a\tb",
    "x\x00: 1",
    "x: 1\r\n 2",
    "x(: 1",
    "\xe9: 1",
    "connection: x",
    "connection: close",
    "connection: keep-alive, close",
    "proxy-connection: close",
    "keep-alive: timeout=1",
    "upgrade: websocket",
    "te: trailers",
    "trailer: x",
    "x_y: 1",
    "set-cookie: a=b\r\nset-cookie: c=d",
    "x: 1\r\nx: 2",
    "date: x",
    "server: x",
    "via: x",
    "x-envoy-overloaded: true",
    "x-envoy-upstream-service-time: x",
    ":status: 404",
    "host: b",
    "content-type: a\r\ncontent-type: b",
    "location: x",
  ];
  return lines.map((line): Row => [JSON.stringify(line), answer([line, "content-length: 2"], "ok")]);
}

function framings(): readonly Row[] {
  const lengths = [
    "",
    "x",
    "-2",
    "+2",
    "2,2",
    "2, 2",
    "2 2",
    "0x2",
    "02",
    " 2",
    "2 ",
    "2.0",
    "99999999999999999999",
    "1",
    "\x002",
  ];
  const encodings = [
    "chunked",
    "Chunked",
    "xchunked",
    "gzip",
    "gzip, chunked",
    "chunked, gzip",
    "identity",
    "",
    "chunked, chunked",
    "chunked;a",
    " chunked ",
  ];
  return [
    ...lengths.map((value): Row => [`length ${JSON.stringify(value)}`, answer([`content-length: ${value}`], "ok")]),
    ...encodings.map(
      (value): Row => [
        `encoding ${JSON.stringify(value)}`,
        answer([`transfer-encoding: ${value}`], `2${crlf}ok${crlf}${empty}`),
      ],
    ),
    ["two lengths that differ", answer(["content-length: 2", "content-length: 3"], "ok")],
    ["two lengths that are the same", answer(["content-length: 2", "content-length: 2"], "ok")],
    ["a length, then chunks", answer(["content-length: 2", "transfer-encoding: chunked"], `2${crlf}ok${crlf}${empty}`)],
    ["chunks, then a length", answer(["transfer-encoding: chunked", "content-length: 2"], `2${crlf}ok${crlf}${empty}`)],
    ["chunks twice", answer(["transfer-encoding: chunked", "transfer-encoding: chunked"], `2${crlf}ok${crlf}${empty}`)],
    [
      "chunks and identity",
      answer(["transfer-encoding: chunked", "transfer-encoding: identity"], `2${crlf}ok${crlf}${empty}`),
    ],
    ["a folded length", answer(["content-length:", " 2"], "ok")],
    ["a length with a space before its colon", answer(["content-length : 2"], "ok")],
    ["204 with a length", `HTTP/1.1 204 No Content${crlf}content-length: 2${crlf}${crlf}ok`],
    ["204 with a length of 0", `HTTP/1.1 204 No Content${crlf}content-length: 0${crlf}${crlf}`],
    ["204 with chunks", `HTTP/1.1 204 No Content${crlf}transfer-encoding: chunked${crlf}${crlf}${empty}`],
    ["304 with a length", `HTTP/1.1 304 Not Modified${crlf}content-length: 2${crlf}${crlf}`],
    ["304 with a body", `HTTP/1.1 304 Not Modified${crlf}content-length: 2${crlf}${crlf}ok`],
    ["304 with chunks", `HTTP/1.1 304 Not Modified${crlf}transfer-encoding: chunked${crlf}${crlf}${empty}`],
    ["205 with a body", `HTTP/1.1 205 Reset Content${crlf}content-length: 2${crlf}${crlf}ok`],
    ["HTTP/1.0 in chunks", `HTTP/1.0 200 OK${crlf}transfer-encoding: chunked${crlf}${crlf}2${crlf}ok${crlf}${empty}`],
    ["HTTP/1.0 kept alive", `HTTP/1.0 200 OK${crlf}connection: keep-alive${crlf}content-length: 2${crlf}${crlf}ok`],
    ["nothing of a length", answer([])],
    ["a body that never ends", answer(["content-length: 5"], "ok")],
  ];
}

function chunks(): readonly Row[] {
  const body = (text: string): string => answer(["transfer-encoding: chunked"], text);
  const sizes = [
    "",
    "g",
    "-2",
    "+2",
    "0x2",
    " 2",
    "2 ",
    "2\t",
    "2;a=b",
    "2;\x01",
    "2 2",
    "ffffffffffffffff",
    "10000000000000002",
    "fffffffffffff",
    "0000000000000000002",
    "2\x00",
  ];
  return [
    ["no last one", body(`2${crlf}ok${crlf}`)],
    ["no line end behind data", body(`2${crlf}ok${empty}`)],
    ["LF behind data", body(`2${crlf}ok\n${empty}`)],
    ["LF behind a size", body(`2\nok${crlf}${empty}`)],
    ["CR behind a size", body(`2\rok${crlf}${empty}`)],
    ["more data than said", body(`2${crlf}okay${crlf}${empty}`)],
    ["less data than said", body(`5${crlf}ok${crlf}${empty}`)],
    ["LF behind the last one", body(`2${crlf}ok${crlf}0\n\n`)],
    ["an extension of 20 kB", body(`2;${"a".repeat(20_000)}${crlf}ok${crlf}${empty}`)],
    ...sizes.map((size): Row => [`size ${JSON.stringify(size)}`, body(`${size}${crlf}ok${crlf}${empty}`)]),
  ];
}

function trailers(): readonly Row[] {
  const lines = [
    "x: 1",
    "content-length: 5",
    "transfer-encoding: chunked",
    "x",
    "x y: 1",
    "x: \x00",
    "set-cookie: a=b",
    ":status: 404",
    `x: ${"a".repeat(70_000)}`,
  ];
  return lines.map(
    (line): Row => [
      JSON.stringify(line.slice(0, 30)),
      answer(["transfer-encoding: chunked"], `2${crlf}ok${crlf}0${crlf}${line}${crlf}${crlf}`),
    ],
  );
}

function informational(): readonly Row[] {
  const good = answer(["content-length: 2"], "ok");
  const info = (status: string, ...lines: readonly string[]): string =>
    [`HTTP/1.1 ${status}`, ...lines, "", ""].join(crlf);
  return [
    ["100 unasked", info("100 Continue") + good],
    ["103", info("103 Early Hints", "link: </x>") + good],
    ["102", info("102 Processing") + good],
    ["199", info("199 X") + good],
    ["500 of them", info("103 Early Hints", "link: </x>").repeat(500) + good],
    ["without end", info("103 Early Hints")],
    ["with a length", info("103 Early Hints", "content-length: 2") + good],
    ["with chunks", info("103 Early Hints", "transfer-encoding: chunked") + good],
    ["100 with a length", info("100 Continue", "content-length: 2") + good],
    ["101 unasked", info("101 Switching Protocols", "connection: upgrade", "upgrade: websocket") + good],
    ["101 without headers", info("101 Switching Protocols") + good],
    ["with a bad header", info("103 Early Hints", "x y: 1") + good],
  ];
}

/** Bytes behind an answer must find no other request. */
function surplus(): readonly Row[] {
  const good = answer(["content-length: 2"], "ok");
  const rows: readonly Row[] = [
    ["a second answer", smuggled],
    ["two more answers", smuggled + smuggled],
    ["a byte", "x"],
    ["a line end", crlf],
    ["an LF", "\n"],
    ["half an answer", ok],
    ["a 1xx", `HTTP/1.1 103 Early Hints${crlf}${crlf}`],
  ];
  return [
    ...rows.map(([name, bytes]): Row => [name, good + bytes]),
    ...rows.map(
      ([name, bytes]): Row => [
        `${name}, after chunks`,
        answer(["transfer-encoding: chunked"], `2${crlf}ok${crlf}${empty}${bytes}`),
      ],
    ),
    ...rows
      .slice(0, 3)
      .map(([name, bytes]): Row => [`${name}, after 204`, `HTTP/1.1 204 No Content${crlf}${crlf}${bytes}`]),
    ...rows
      .slice(0, 3)
      .map(([name, bytes]): Row => [`${name}, after 304`, `HTTP/1.1 304 Not Modified${crlf}${crlf}${bytes}`]),
    ["an answer in a header", answer([`x: 1${crlf}${crlf}${smuggled}`, "content-length: 0"])],
  ];
}

function headAnswers(): readonly Row[] {
  return [
    ["with a length", answer(["content-length: 2"])],
    ["with a body", answer(["content-length: 2"], "ok")],
    ["with a body that is an answer", answer([`content-length: ${smuggled.length}`], smuggled)],
    ["in chunks", answer(["transfer-encoding: chunked"])],
    ["in chunks with a body", answer(["transfer-encoding: chunked"], `2${crlf}ok${crlf}${empty}`)],
    ["of no length", answer([])],
    ["with two lengths", answer(["content-length: 2", "content-length: 3"])],
    ["with both", answer(["content-length: 2", "transfer-encoding: chunked"])],
    ["204", `HTTP/1.1 204 No Content${crlf}${crlf}`],
  ];
}

function endings(): readonly Row[] {
  return [
    ["at once", ""],
    ["in the status line", "HTTP/1.1 2"],
    ["in a header", `${ok}content-le`],
    ["after the head", answer(["content-length: 2"])],
    ["in the body", answer(["content-length: 5"], "ok")],
    ["of a body without a length", answer([], "ok")],
    ["of an empty body without a length", answer([])],
    ["in a chunk", answer(["transfer-encoding: chunked"], `5${crlf}ok`)],
    ["before the last chunk", answer(["transfer-encoding: chunked"], `2${crlf}ok${crlf}`)],
    ["in the last chunk", answer(["transfer-encoding: chunked"], `2${crlf}ok${crlf}0${crlf}`)],
    ["after a 1xx", `HTTP/1.1 103 Early Hints${crlf}${crlf}`],
    ["as it should be", answer(["content-length: 2"], "ok")],
    ["with bytes behind it", answer(["content-length: 2"], `ok${smuggled}`)],
    ["of HTTP/1.0", `HTTP/1.0 200 OK${crlf}${crlf}ok`],
  ];
}

function sizes(): readonly Row[] {
  const many = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `x${index}: 1`);
  const end = "content-length: 2";
  return [
    ["90 headers", answer([...many(90), end], "ok")],
    ["101 headers", answer([...many(100), end], "ok")],
    ["102 headers", answer([...many(101), end], "ok")],
    ["a header of 50 kB", answer([`x: ${"a".repeat(50_000)}`, end], "ok")],
    ["a header of 70 kB", answer([`x: ${"a".repeat(70_000)}`, end], "ok")],
    ["a head without end", ok + `x: ${"a".repeat(1_000)}${crlf}`.repeat(80)],
    ["a reason of 70 kB", `HTTP/1.1 200 ${"a".repeat(70_000)}${crlf}${end}${crlf}${crlf}ok`],
  ];
}
