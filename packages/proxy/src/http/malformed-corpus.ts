/**
 * Requests that are wrong, or that two parsers may read differently, with the statuses of all answers to them. Each ends in
 * what an attacker would have read as a further request, to "/smuggled": it must never reach a filter.
 */
export interface MalformedRequest {
  readonly name: string;
  /** Each character is a byte. */
  readonly bytes: string;
  /** Of all answers on the connection, in order. It is closed after the last. */
  readonly statuses: readonly number[];
}

const crlf = "\r\n";
const smuggled = `GET /smuggled HTTP/1.1${crlf}Host: a${crlf}${crlf}`;

export const malformedRequests: readonly MalformedRequest[] = [
  ...requestLines(),
  ...headerNames(),
  ...headerValues(),
  ...hosts(),
  ...lengths(),
  ...encodings(),
  ...chunks(),
  ...connections(),
  ...strangers(),
  ...sizes(),
];

/** Rows of one family: a name, the bytes, and the status where it is not 400. */
type Row = readonly [name: string, bytes: string, status?: number];

function family(title: string, rows: readonly Row[]): readonly MalformedRequest[] {
  return rows.map(([name, bytes, status = 400]) => ({ name: `${title}: ${name}`, bytes, statuses: [status] }));
}

/** A head with further lines, then a request that must not be seen. */
function head(...lines: readonly string[]): string {
  return ["POST / HTTP/1.1", "Host: a", ...lines, "", smuggled].join(crlf);
}

function requestLines(): readonly MalformedRequest[] {
  const rest = `${crlf}Host: a${crlf}${crlf}${smuggled}`;
  const lines: readonly Row[] = [
    ["no version", "GET /"],
    ["no target", "GET HTTP/1.1"],
    ["nothing but a method", "GET"],
    ["an unknown method", "FOO / HTTP/1.1"],
    ["a method in lower case", "get / HTTP/1.1"],
    ["a method with a control character", "GE\x01T / HTTP/1.1"],
    ["a method with a separator", "G@T / HTTP/1.1"],
    ["a method with a NUL", "GET\x00 / HTTP/1.1"],
    ["a space before the method", " GET / HTTP/1.1"],
    ["a tab before the method", "\tGET / HTTP/1.1"],
    ["two spaces after the method", "GET  / HTTP/1.1"],
    ["two spaces before the version", "GET /  HTTP/1.1"],
    ["a tab after the method", "GET\t/ HTTP/1.1"],
    ["a tab before the version", "GET /\tHTTP/1.1"],
    ["a space after the version", "GET / HTTP/1.1 "],
    ["a vertical tab in place of a space", "GET\x0b/ HTTP/1.1"],
    ["a form feed in place of a space", "GET /\x0cHTTP/1.1"],
    ["a space in the target", "GET /a b HTTP/1.1"],
    ["a NUL in the target", "GET /\x00 HTTP/1.1"],
    ["a control character in the target", "GET /\x1f HTTP/1.1"],
    ["DEL in the target", "GET /\x7f HTTP/1.1"],
    ["a byte beyond ASCII in the target", "GET /caf\xe9 HTTP/1.1"],
    ["a target without a slash", "GET foo HTTP/1.1"],
    ["a query alone", "GET ?a HTTP/1.1"],
    ["a fragment", "GET /a#b HTTP/1.1"],
    ["an asterisk for GET", "GET * HTTP/1.1"],
    ["a backslash for a slash", "GET \\ HTTP/1.1"],
    ["another scheme", "GET ftp://a/ HTTP/1.1"],
    ["a scheme without an authority", "GET http:/// HTTP/1.1"],
    ["a scheme alone", "GET http:// HTTP/1.1"],
    ["user information", "GET http://u:p@a/ HTTP/1.1"],
    ["a bad authority", "GET http://a\\b/ HTTP/1.1"],
    ["an empty port", "GET http://a:/ HTTP/1.1"],
    ["a port of letters", "GET http://a:b/ HTTP/1.1"],
    ["an address that does not end", "GET http://[::1/ HTTP/1.1"],
    ["a fragment behind an authority", "GET http://a#b HTTP/1.1"],
    ["a version of the future", "GET / HTTP/2.0", 426],
    ["HTTP/1.2", "GET / HTTP/1.2", 426],
    ["HTTP/1.0", "GET / HTTP/1.0", 426],
    ["HTTP/0.9 by name", "GET / HTTP/0.9", 426],
    ["a version in lower case", "GET / http/1.1"],
    ["a version with two digits", "GET / HTTP/1.10"],
    ["a version with a leading zero", "GET / HTTP/01.1"],
    ["a version without a minor", "GET / HTTP/1"],
    ["a version with a comma", "GET / HTTP/1,1"],
    ["a version of letters", "GET / HTTP/x.y"],
    ["another protocol", "GET / ICE/1.0"],
    ["RTSP", "DESCRIBE rtsp://a/b RTSP/1.0"],
    ["a sign in the version", "GET / HTTP/+1.1"],
    ["a CR in the line", "GET /\r HTTP/1.1"],
    ["a CR after the version", "GET / HTTP/1.1\r"],
  ];
  return [
    ...family(
      "request line",
      lines.map(([name, line, status]) => [name, line + rest, status] as Row),
    ),
    ...family("line ends", [
      ["LF alone everywhere", `GET / HTTP/1.1\nHost: a\n\n${smuggled}`],
      ["LF alone after the request line", `GET / HTTP/1.1\nHost: a${crlf}${crlf}${smuggled}`],
      ["LF alone after a header", `GET / HTTP/1.1${crlf}Host: a\nX: b${crlf}${crlf}${smuggled}`],
      ["LF alone at the end of the head", `GET / HTTP/1.1${crlf}Host: a${crlf}\n${smuggled}`],
      ["CR alone everywhere", `GET / HTTP/1.1\rHost: a\r\r${smuggled}`],
      ["CR CR LF", `GET / HTTP/1.1\r${crlf}Host: a${crlf}${crlf}${smuggled}`],
      ["LF alone before the request", `\nGET / HTTP/1.1${crlf}Host: a${crlf}${crlf}`],
      ["CR alone before the request", `\rGET / HTTP/1.1${crlf}Host: a${crlf}${crlf}`],
      ["empty lines without end", `${crlf.repeat(20)}GET / HTTP/1.1${crlf}Host: a${crlf}${crlf}`],
    ]),
  ];
}

function headerNames(): readonly MalformedRequest[] {
  const separators = [...'()<>@,;\\/[]?={}" '].map((each): Row => [`"${each}"`, head(`x${each}y: 1`)]);
  const controls = [0, 1, 9, 11, 12, 31, 127, 128, 255].map(
    (code): Row => [`byte ${code}`, head(`x${String.fromCharCode(code)}y: 1`)],
  );
  return family("header name", [
    ...separators,
    ...controls,
    ["empty", head(": 1")],
    ["no colon", head("x")],
    ["no colon, and a value", head("x y")],
    ["a space before the colon", head("x : 1")],
    ["a tab before the colon", head("x\t: 1")],
    ["a space before the colon of Content-Length", head("Content-Length : 40")],
    ["a space before the colon of Transfer-Encoding", head("Transfer-Encoding : chunked")],
    ["a space before the first header", `POST / HTTP/1.1${crlf} Host: a${crlf}${crlf}${smuggled}`],
    ["a tab before the first header", `POST / HTTP/1.1${crlf}\tHost: a${crlf}${crlf}${smuggled}`],
    ["a folded line", head("x: 1", " 2")],
    ["a folded line with a tab", head("x: 1", "\t2")],
    ["a folded Content-Length", head("Content-Length:", " 40")],
    ["a folded Transfer-Encoding", head("Transfer-Encoding:", " chunked"), 501],
    ["a line of white space", head(" ")],
    ["a pseudo header", head(":path: /smuggled")],
    ["a pseudo method", head(":method: GET")],
  ]);
}

function headerValues(): readonly MalformedRequest[] {
  const bytes = [0, 1, 2, 8, 11, 12, 14, 27, 31, 127];
  return family("header value", [
    ...bytes.map((code): Row => [`byte ${code}`, head(`x: a${String.fromCharCode(code)}b`)]),
    ["a CR", head("x: a\rb")],
    ["an LF", head("x: a\nb")],
    ["a header behind an LF", head("x: a\nContent-Length: 40")],
    ["a header behind a CR", head("x: a\rTransfer-Encoding: chunked")],
    ["a request behind LFs", head("x: a\n\nGET /smuggled HTTP/1.1\nHost: a")],
    ["a NUL before a length", head("Content-Length: \x0040")],
    ["a CR at the end", head("x: a\r")],
  ]);
}

function hosts(): readonly MalformedRequest[] {
  const bad = ["a/b", "a?b", "a#b", "a b", "a\\b", 'a"b', "a<b", "a>b", "a^b", "a`b", "a{b", "a|b", "a\tb", "\xe9"];
  const withHost = (host: string): string => `GET / HTTP/1.1${crlf}Host: ${host}${crlf}${crlf}${smuggled}`;
  return family("host", [
    ...bad.map((host): Row => [JSON.stringify(host), withHost(host)]),
    ["none", `GET / HTTP/1.1${crlf}X: a${crlf}${crlf}${smuggled}`],
    ["no headers at all", `GET / HTTP/1.1${crlf}${crlf}${smuggled}`],
    ["two", head("Host: b")],
    ["two that are the same", head("Host: a")],
    ["two with another spelling", head("hOsT: a")],
    ["none, with an absolute target", `GET http://a/ HTTP/1.1${crlf}${crlf}${smuggled}`],
  ]);
}

function lengths(): readonly MalformedRequest[] {
  const values = [
    "",
    "-1",
    "+1",
    "1 1",
    "1,1",
    "1, 1",
    "0x1",
    "1.0",
    "1e1",
    "a",
    "1a",
    "a1",
    "0 ,0",
    "1;a",
    "'1'",
    "99999999999999999999",
    "18446744073709551616",
    "9007199254740993",
    "1\x0b",
    "１",
  ].map((value): Row => [JSON.stringify(value), head(`Content-Length: ${Buffer.from(value).toString("latin1")}`)]);
  return family("content-length", [
    ...values,
    ["two that differ", head("Content-Length: 0", "Content-Length: 40")],
    ["two that are the same", head("Content-Length: 0", "Content-Length: 0")],
    ["two, one in lower case", head("Content-Length: 0", "content-length: 40")],
    ["with chunks", head("Content-Length: 5", "Transfer-Encoding: chunked", "", "0", "")],
    ["after chunks", head("Transfer-Encoding: chunked", "Content-Length: 5", "", "0", "")],
    ["0 with chunks", head("Content-Length: 0", "Transfer-Encoding: chunked", "", "0", "")],
  ]);
}

function encodings(): readonly MalformedRequest[] {
  const values = [
    "",
    "gzip",
    "identity",
    "xchunked",
    "chunked, gzip",
    "gzip, chunked",
    "chunked, chunked",
    "chunked,",
    ",chunked",
    "identity, chunked",
    "chunked;q=1",
    '"chunked"',
    "chunked chunked",
    "chunke",
    "chunkedd",
    "cow",
    "chunked\xa0",
    "ｃhunked",
  ].map(
    (value): Row => [JSON.stringify(value), head(`Transfer-Encoding: ${Buffer.from(value).toString("latin1")}`), 501],
  );
  return family("transfer-encoding", [
    ...values,
    ["two lines of chunked", head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 501],
    ["chunked, then identity", head("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), 501],
    ["identity, then chunked", head("Transfer-Encoding: identity", "Transfer-Encoding: chunked"), 501],
    ["a vertical tab before the value", head("Transfer-Encoding: \x0bchunked")],
    ["a NUL after the value", head("Transfer-Encoding: chunked\x00")],
    [
      "an underscore in the name with a length",
      head("Content-Length: 0", "Transfer-Encoding: chunked", "Transfer_Encoding: x"),
    ],
    [
      "in HTTP/1.0",
      `POST / HTTP/1.0${crlf}Host: a${crlf}Transfer-Encoding: chunked${crlf}${crlf}0${crlf}${crlf}${smuggled}`,
      426,
    ],
    [
      "with CONNECT",
      `CONNECT a:1 HTTP/1.1${crlf}Host: a${crlf}Transfer-Encoding: chunked${crlf}${crlf}${smuggled}`,
      501,
    ],
  ]);
}

function chunks(): readonly MalformedRequest[] {
  const post = (body: string): string =>
    `POST / HTTP/1.1${crlf}Host: a${crlf}Transfer-Encoding: chunked${crlf}${crlf}${body}`;
  const sizes = [
    "",
    "g",
    "-1",
    "+1",
    "0x1",
    "1 1",
    " 1",
    "1\t1",
    "1h",
    "１",
    "FFFFFFFFFFFFFFFFF",
    "10000000000000000",
    "1\x00",
    "1\r",
    "1,",
    "1.",
  ].map(
    (size): Row => [
      `size ${JSON.stringify(size)}`,
      post(`${Buffer.from(size).toString("latin1")}${crlf}a${crlf}0${crlf}${crlf}${smuggled}`),
    ],
  );
  const end = `${crlf}0${crlf}${crlf}${smuggled}`;
  return family("chunks", [
    ...sizes,
    ["LF after the size", post(`1\na${end}`)],
    ["CR after the size", post(`1\ra${end}`)],
    ["no line end after the data", post(`1${crlf}a0${crlf}${crlf}${smuggled}`)],
    ["LF after the data", post(`1${crlf}a\n0${crlf}${crlf}${smuggled}`)],
    ["more data than said", post(`1${crlf}abc${end}`)],
    ["less data than said", post(`5${crlf}ab${crlf}0${crlf}${crlf}${smuggled}${smuggled}`.slice(0, 400))],
    ["LF after the last chunk", post(`0\n\n${smuggled}`)],
    ["LF after trailers", post(`0${crlf}x: 1\n\n${smuggled}`)],
    ["a control character in an extension", post(`1;a=\x01${crlf}a${end}`)],
    ["an LF in an extension", post(`1;a\nb${crlf}a${end}`)],
    ["an extension without end", post(`1;${"a".repeat(20_000)}`)],
    ["a trailer without a colon", post(`0${crlf}x${crlf}${crlf}${smuggled}`)],
    ["a trailer with a space in its name", post(`0${crlf}x y: 1${crlf}${crlf}${smuggled}`)],
    ["a folded trailer", post(`0${crlf}x: 1${crlf} 2${crlf}${crlf}${smuggled}`)],
    ["a length as trailer", post(`0${crlf}Content-Length: 40${crlf}${crlf}${smuggled}`)],
    ["an encoding as trailer", post(`0${crlf}Transfer-Encoding: chunked${crlf}${crlf}${smuggled}`)],
    ["a host as trailer", post(`0${crlf}Host: b${crlf}${crlf}${smuggled}`)],
    ["a NUL in a trailer", post(`0${crlf}x: \x00${crlf}${crlf}${smuggled}`)],
    ["trailers without end", post(`0${crlf}${`x: ${"a".repeat(1_000)}${crlf}`.repeat(40)}`)],
    ["too many trailers", post(`0${crlf}${`x: a${crlf}`.repeat(200)}${crlf}`)],
  ]);
}

function connections(): readonly MalformedRequest[] {
  return family("connection", [
    ["hides Host", head("Connection: host")],
    ["hides x-forwarded-for", head("Connection: x-forwarded-for")],
    ["hides x-forwarded-proto", head("Connection: close, X-Forwarded-Proto")],
    ["hides x-forwarded-host", head("Connection: keep-alive", "Connection: x-forwarded-host")],
    ["hides a pseudo header", head("Connection: :path")],
    ["names too many", head(`Connection: ${Array.from({ length: 20 }, (_, index) => `x${index}`).join(",")}`)],
    ["an upgrade with a length", head("Connection: upgrade", "Upgrade: websocket", "Content-Length: 40")],
    ["an upgrade with chunks", head("Connection: upgrade", "Upgrade: websocket", "Transfer-Encoding: chunked")],
    ["an upgrade that is not taken", head("Connection: upgrade", "Upgrade: websocket"), 403],
    ["CONNECT with a length", `CONNECT a:1 HTTP/1.1${crlf}Host: a${crlf}Content-Length: 40${crlf}${crlf}${smuggled}`],
    ["CONNECT to a path", `CONNECT /smuggled HTTP/1.1${crlf}Host: a${crlf}${crlf}${smuggled}`],
    ["CONNECT without a port", `CONNECT a HTTP/1.1${crlf}Host: a${crlf}${crlf}${smuggled}`],
    ["CONNECT with a bad port", `CONNECT a:99999 HTTP/1.1${crlf}Host: a${crlf}${crlf}${smuggled}`],
    ["CONNECT with two ports", `CONNECT a:1:2 HTTP/1.1${crlf}Host: a${crlf}${crlf}${smuggled}`],
    ["CONNECT to a bracket", `CONNECT [:1 HTTP/1.1${crlf}Host: a${crlf}${crlf}${smuggled}`],
    ["CONNECT with user information", `CONNECT u@a:1 HTTP/1.1${crlf}Host: a${crlf}${crlf}${smuggled}`],
    ["CONNECT with an absolute target", `CONNECT http://a:1/ HTTP/1.1${crlf}Host: a${crlf}${crlf}${smuggled}`],
  ]);
}

function strangers(): readonly MalformedRequest[] {
  return family("other protocols", [
    ["a TLS client hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
    ["SSH", `SSH-2.0-OpenSSH_9.6${crlf}`.padEnd(60, "\r\n")],
    ["a PROXY header", `PROXY TCP4 1.2.3.4 5.6.7.8 1 2${crlf}${smuggled}${crlf}`],
    ["a PROXY header of version 2", "\r\n\r\n\x00\r\nQUIT\n"],
    ["zeros", "\x00".repeat(64)],
    ["bytes beyond ASCII", "\xff".repeat(64)],
    ["HTTP/0.9", `GET /${crlf}${crlf}`],
    ["an answer", `HTTP/1.1 200 OK${crlf}Content-Length: 0${crlf}${crlf}`],
    ["SMTP", `EHLO a${crlf}MAIL FROM:<a@b>${crlf}${crlf}`],
    ["redis", `*1${crlf}$4${crlf}PING${crlf}${crlf}`],
  ]);
}

function sizes(): readonly MalformedRequest[] {
  const many = Array.from({ length: 101 }, (_, index) => `x${index}: 1`);
  return family("size", [
    ["a large header", head(`x: ${"a".repeat(70_000)}`), 431],
    ["a large name", head(`${"x".repeat(70_000)}: a`), 431],
    ["a large target", `GET /${"a".repeat(70_000)} HTTP/1.1${crlf}Host: a${crlf}${crlf}`, 431],
    ["a head without end", `GET / HTTP/1.1${crlf}${`x: ${"a".repeat(1_000)}${crlf}`.repeat(70)}`, 431],
    ["too many headers", head(...many), 431],
    ["a large method", `${"A".repeat(200)} / HTTP/1.1${crlf}Host: a${crlf}${crlf}`],
  ]);
}
