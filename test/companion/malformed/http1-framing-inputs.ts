/** Requests whose end is in doubt: lengths, encodings, chunks, trailers, upgrades, what follows an error. */
import { chunked, crlf, family, type Http1Input, type Http1Row, head, post, smuggled } from "./http1-input.ts";

const both = ["Content-Length", "Transfer-Encoding"] as const;
const empty = `0${crlf}${crlf}`;
const inChunks = "Transfer-Encoding: chunked";

export const framingInputs: readonly Http1Input[] = [
  ...smuggling(),
  ...lengths(),
  ...encodings(),
  ...chunks(),
  ...trailers(),
  ...oldVersions(),
  ...lenient(),
  ...pipelines(),
  ...expectations(),
  ...upgrades(),
];

function smuggling(): readonly Http1Input[] {
  const short = `1${crlf}Z${crlf}Q`;
  return family("smuggling", "plain", [
    ["CL.TE", post([`Content-Length: ${empty.length + smuggled.length}`, inChunks], empty + smuggled)],
    ["CL.TE with a short length", post(["Content-Length: 6", inChunks], `${empty}G`)],
    ["CL.TE that times the server", post(["Content-Length: 4", inChunks], short)],
    ["TE.CL", post([inChunks, "Content-Length: 4"], `5c${crlf}${smuggled}${crlf}${empty}`)],
    ["TE.CL with a length of 0", post([inChunks, "Content-Length: 0"], `${empty}${smuggled}`)],
    ["TE.TE with a stranger", post([inChunks, "Transfer-encoding: cow"], empty + smuggled)],
    ["TE.TE with a stranger first", post(["Transfer-Encoding: cow", inChunks], empty + smuggled)],
    ["TE.TE with x", post([inChunks, "Transfer-Encoding: x"], empty + smuggled)],
    ["TE.TE in another spelling", post(["TRANSFER-ENCODING: chunked", "transfer-encoding: chunked"], empty + smuggled)],
    ["TE with a line before it", post(["X: a\nTransfer-Encoding: chunked"], empty + smuggled)],
    ["TE folded", post(["X: a", " Transfer-Encoding: chunked"], smuggled)],
    [
      "TE with a space before the colon and a length",
      post(["Content-Length: 3", "Transfer-Encoding : chunked"], "0\r\n"),
    ],
    ["TE with a tab after the colon", post(["Transfer-Encoding:\tchunked"], empty + smuggled)],
    ["TE with white space at its end", post(["Transfer-Encoding: chunked \t "], empty + smuggled)],
    ["TE without a space", post(["Transfer-Encoding:chunked"], empty + smuggled)],
    ["TE in capitals", post(["Transfer-Encoding: CHUNKED"], empty + smuggled)],
    ["TE with a NUL in its name", post(["Transfer-Encoding\x00: chunked", "Content-Length: 3"], "abc")],
    ["TE with an underscore", post(["Transfer_Encoding: chunked", "Content-Length: 3"], "abc")],
    ["TE as value of another header", post(["X: Transfer-Encoding: chunked", "Content-Length: 3"], "abc")],
    ["TE in GET", head("GET / HTTP/1.1", inChunks) + empty + smuggled],
    ["TE in HEAD", head("HEAD / HTTP/1.1", inChunks) + empty + smuggled],
    ["TE in DELETE with content", `${head("DELETE / HTTP/1.1", inChunks)}3${crlf}abc${crlf}${empty}${smuggled}`],
    ["TE hidden by Connection", post(["Connection: transfer-encoding", inChunks], empty + smuggled)],
    ["CL hidden by Connection", post(["Connection: content-length", "Content-Length: 3"], `abc${smuggled}`)],
    ["CL and TE hidden by Connection", post([`Connection: ${both.join()}`, "Content-Length: 3", inChunks], empty)],
    ["CL in GET", head("GET / HTTP/1.1", `Content-Length: ${smuggled.length}`) + smuggled],
    ["CL in HEAD", head("HEAD / HTTP/1.1", `Content-Length: ${smuggled.length}`) + smuggled],
    ["CL in OPTIONS *", `${head("OPTIONS * HTTP/1.1", "Content-Length: 3")}abc${smuggled}`],
    ["CL.0", post([`Content-Length: ${smuggled.length}`, "X: a"], smuggled)],
    ["0.CL", head("GET / HTTP/1.1") + smuggled],
    ["a body in front of a request", post(["Content-Length: 3"], `abc${smuggled}`)],
    ["a line end more behind a body", post(["Content-Length: 3"], `abc${crlf}${smuggled}`)],
    ["a dot more behind a body", post(["Content-Length: 3"], `abc.${smuggled}`)],
  ]);
}

function lengths(): readonly Http1Input[] {
  const values = [
    "3",
    " 3",
    "3 ",
    "\t3\t",
    "03",
    "003",
    "3,3",
    "3, 3",
    "-0",
    "+3",
    "3.",
    "3e0",
    "0b11",
    "0o3",
    "3\x0c",
    "\xa03",
  ];
  return family("length", "plain", [
    ...values.map((value): Http1Row => [JSON.stringify(value), post([`Content-Length:${value}`], `abc${smuggled}`)]),
    ["larger than 32 bits", post(["Content-Length: 4294967299"], `abc${smuggled}`)],
    ["larger than 64 bits", post(["Content-Length: 18446744073709551619"], `abc${smuggled}`)],
    ["of 15 digits", post(["Content-Length: 000000000000003"], `abc${smuggled}`)],
    ["of 30 zeros and a digit", post([`Content-Length: ${"0".repeat(30)}3`], `abc${smuggled}`)],
    ["three equal ones", post(["Content-Length: 3", "Content-Length: 3", "Content-Length: 3"], `abc${smuggled}`)],
    ["one empty, one good", post(["Content-Length: ", "Content-Length: 3"], `abc${smuggled}`)],
    ["one good, one with a sign", post(["Content-Length: 3", "Content-Length: +3"], `abc${smuggled}`)],
    ["a name with an underscore", post(["Content_Length: 40", "Content-Length: 3"], `abc${smuggled}`)],
    ["a name with a prefix", post(["X-Content-Length: 40", "Content-Length: 3"], `abc${smuggled}`)],
  ]);
}

function encodings(): readonly Http1Input[] {
  const values = [
    "chunked\x0b",
    "\x0cchunked",
    "chunked\x85",
    "chunked;",
    "chunked; a=b",
    "chunked,,",
    " , chunked",
    "deflate",
    "br, chunked",
    "compress",
    "trailers",
    "chunked, identity",
    "chunKed",
    "chunked\t",
  ];
  return family("encoding", "plain", [
    ...values.map(
      (value): Http1Row => [JSON.stringify(value), post([`Transfer-Encoding: ${value}`], empty + smuggled)],
    ),
    ["in two lines", post(["Transfer-Encoding: gzip", inChunks], empty + smuggled)],
    ["an empty one and chunked", post(["Transfer-Encoding: ", inChunks], empty + smuggled)],
    ["chunked and an empty one", post([inChunks, "Transfer-Encoding: "], empty + smuggled)],
    ["a TE header", post([inChunks, "TE: chunked"], empty)],
    ["a TE header with trailers and more", post([inChunks, "TE: trailers, deflate;q=0.5"], empty)],
  ]);
}

function chunks(): readonly Http1Input[] {
  const sizes = [
    "3",
    "03",
    "0000000000003",
    "00000000000000003",
    "3;",
    "3; ",
    "3 ;a",
    "3;a=b",
    '3;a="b\\"c"',
    "3;a=b;c",
    "3\t",
    "3 ",
    "3;\x00",
    "3;\x7f",
    "3;\xff",
    "3:a",
    "3,",
    "3#",
    "7fffffffffffffff",
    "8000000000000003",
    "ffffffffffffffff",
    "10000000000000003",
    "fffffffffffff",
    "0x3",
    "3h",
    "\x0b3",
    "3\x0b",
    "3_0",
    "+3",
    "-3",
  ];
  return family("chunk", "plain", [
    ...sizes.map((size): Http1Row => [JSON.stringify(size), chunked(`${size}${crlf}abc${crlf}${empty}${smuggled}`)]),
    ["an extension of 3 kB", chunked(`3;${"a".repeat(3_000)}${crlf}abc${crlf}${empty}${smuggled}`)],
    ["extensions of many chunks", chunked(`1;${"a".repeat(100)}${crlf}a${crlf}`.repeat(200) + empty + smuggled)],
    ["a line end in quotes of an extension", chunked(`3;a="${crlf}abc${crlf}${empty}${smuggled}`)],
    ["an extension that hides a request", chunked(`3;\n${smuggled}${crlf}abc${crlf}${empty}`)],
    ["an extension of the last one", chunked(`0;a=b${crlf}${crlf}${smuggled}`)],
    ["a last one of many zeros", chunked(`000000${crlf}${crlf}${smuggled}`)],
    ["a last one in two", chunked(`3${crlf}abc${crlf}0${crlf}${smuggled}`)],
    ["CR CR LF behind a size", chunked(`3\r\r\nabc${crlf}${empty}${smuggled}`)],
    ["CR LF CR LF behind a size", chunked(`3${crlf}${crlf}abc${crlf}${empty}${smuggled}`)],
    ["LF CR behind data", chunked(`3${crlf}abc\n\r${empty}${smuggled}`)],
    ["nothing behind data", chunked(`3${crlf}abc${empty}${smuggled}`)],
    ["two bytes that are no line end behind data", chunked(`3${crlf}abcxx${empty}${smuggled}`)],
    ["two bytes too few", chunked(`5${crlf}abc${crlf}${crlf}${empty}${smuggled}`)],
    ["one byte too few", chunked(`4${crlf}abc${crlf}${empty}${smuggled}`)],
    ["an empty line before the first", chunked(`${crlf}3${crlf}abc${crlf}${empty}${smuggled}`)],
    ["white space before the last", chunked(`3${crlf}abc${crlf} 0${crlf}${crlf}${smuggled}`)],
    ["many of one byte", chunked(`1${crlf}a${crlf}`.repeat(500) + empty + smuggled)],
  ]);
}

function trailers(): readonly Http1Input[] {
  const rows = (extra: readonly Http1Row[] = []): readonly Http1Row[] => [
    ...[
      "Content-Length: 3",
      inChunks,
      "Host: b",
      "Connection: close",
      "Authorization: x",
      "X-Forwarded-For: 1.2.3.4",
      "x: 1",
      ":path: /smuggled",
      "Trailer: x",
      "TE: trailers",
      "Upgrade: websocket",
      "x_y: 1",
    ].map((line): Http1Row => [line, chunked(`0${crlf}${line}${crlf}${crlf}${smuggled}`)]),
    ...extra,
  ];
  return [
    ...family(
      "trailer",
      "plain",
      rows([
        ["a name with a space", chunked(`0${crlf}x : 1${crlf}${crlf}${smuggled}`)],
        ["no name", chunked(`0${crlf}: 1${crlf}${crlf}${smuggled}`)],
        ["a value with a CR", chunked(`0${crlf}x: 1\r2${crlf}${crlf}${smuggled}`)],
        ["a value with LFs and a request", chunked(`0${crlf}x: 1\n\n${smuggled}${crlf}${crlf}`)],
        ["a large one", chunked(`0${crlf}x: ${"a".repeat(70_000)}${crlf}${crlf}${smuggled}`)],
      ]),
    ),
    ...family("trailer that is passed on", "lenient", rows()),
  ];
}

function oldVersions(): readonly Http1Input[] {
  return family("HTTP/1.0", "lenient", [
    ["without Host", `GET / HTTP/1.0${crlf}${crlf}${smuggled}`],
    ["with Host", `${head("GET / HTTP/1.0")}${smuggled}`],
    ["kept alive", head("GET / HTTP/1.0", "Connection: keep-alive") + smuggled],
    ["with an encoding", head("POST / HTTP/1.0", inChunks) + empty + smuggled],
    ["kept alive with an encoding", head("POST / HTTP/1.0", "Connection: keep-alive", inChunks) + empty + smuggled],
    ["with both", head("POST / HTTP/1.0", "Content-Length: 3", inChunks) + empty + smuggled],
    ["with a length", `${head("POST / HTTP/1.0", "Content-Length: 3")}abc${smuggled}`],
    [
      "kept alive with a length",
      `${head("POST / HTTP/1.0", "Connection: keep-alive", "Content-Length: 3")}abc${smuggled}`,
    ],
    ["without a length", head("POST / HTTP/1.0") + smuggled],
    ["with an upgrade", head("GET / HTTP/1.0", "Connection: upgrade", "Upgrade: websocket") + smuggled],
    ["with Expect", `${head("POST / HTTP/1.0", "Expect: 100-continue", "Content-Length: 3")}abc${smuggled}`],
    ["no version", `GET /${crlf}${smuggled}`],
    ["0.9 by name", `${head("GET / HTTP/0.9")}${smuggled}`],
    ["1.2", `${head("GET / HTTP/1.2")}${smuggled}`],
    ["absolute target without Host", `GET http://b/ HTTP/1.0${crlf}${crlf}${smuggled}`],
  ]);
}

/** Where both a length and chunks are let in, chunks count alone. */
function lenient(): readonly Http1Input[] {
  return family("length with chunks", "lenient", [
    ["CL.TE", post([`Content-Length: ${empty.length + smuggled.length}`, inChunks], empty + smuggled)],
    ["TE.CL", post([inChunks, "Content-Length: 4"], `3${crlf}abc${crlf}${empty}${smuggled}`)],
    ["two lengths", post(["Content-Length: 3", "Content-Length: 4", inChunks], empty + smuggled)],
    ["a bad length", post(["Content-Length: x", inChunks], empty + smuggled)],
    ["another encoding", post(["Content-Length: 3", "Transfer-Encoding: gzip"], `abc${smuggled}`)],
    ["hidden", post(["Connection: transfer-encoding", "Content-Length: 3", inChunks], empty + smuggled)],
    ["chunks that are none", post(["Content-Length: 3", inChunks], `abc${smuggled}`)],
    ["a method of its own", head("SMUGGLE / HTTP/1.1", "Content-Length: 3", inChunks) + empty + smuggled],
    ["a method with a dot", head("A.B / HTTP/1.1") + smuggled],
    ["a method with a space", head("A B / HTTP/1.1") + smuggled],
    ["a method with a slash", head("A/B / HTTP/1.1") + smuggled],
  ]);
}

function pipelines(): readonly Http1Input[] {
  const good = head("GET /first HTTP/1.1");
  return family("pipeline", "plain", [
    ["good ones", good.repeat(5)],
    ["a bad one behind a good one", `${good}BAD${crlf}${crlf}${smuggled}`],
    ["a bad one between good ones", `${good}${head("GET /x y HTTP/1.1")}${smuggled}`],
    ["behind Connection: close", head("GET / HTTP/1.1", "Connection: close") + smuggled],
    ["behind Connection: close of a POST", post(["Connection: close", "Content-Length: 3"], `abc${smuggled}`)],
    ["behind an unknown version", `${head("GET / HTTP/3.0")}${smuggled}`],
    ["empty lines between", `${good}${crlf}${crlf}${good}${smuggled}`],
    ["an LF between", `${good}\n${smuggled}`],
    ["a NUL between", `${good}\x00${smuggled}`],
    ["a space between", `${good} ${smuggled}`],
    ["a body that is too short at the end", `${good}${post(["Content-Length: 5000"], "abc")}`],
    ["chunks without end at the end", `${good}${chunked(`3${crlf}abc${crlf}`)}`],
    ["the preface of HTTP/2", `PRI * HTTP/2.0${crlf}${crlf}SM${crlf}${crlf}`],
    ["the preface of HTTP/2 behind a request", `${good}PRI * HTTP/2.0${crlf}${crlf}SM${crlf}${crlf}`],
    ["a client hello behind a request", `${good}\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00`],
    ["an answer behind a request", `${good}HTTP/1.1 200 OK${crlf}Content-Length: 0${crlf}${crlf}`],
    ["a HEAD before others", head("HEAD / HTTP/1.1") + smuggled],
    ["many", good.repeat(60)],
  ]);
}

function expectations(): readonly Http1Input[] {
  const values = [
    "100-continue",
    "100-Continue",
    "100-continue, 100-continue",
    "200-ok",
    "",
    "100-continue; a",
    "x=100-continue",
  ];
  return family("expect", "plain", [
    ...values.map(
      (value): Http1Row => [JSON.stringify(value), post([`Expect: ${value}`, "Content-Length: 3"], `abc${smuggled}`)],
    ),
    ["two lines", post(["Expect: 100-continue", "Expect: 100-continue", "Content-Length: 3"], `abc${smuggled}`)],
    ["without a body", head("GET / HTTP/1.1", "Expect: 100-continue") + smuggled],
    ["with chunks", post(["Expect: 100-continue", inChunks], empty + smuggled)],
    ["with bad chunks", post(["Expect: 100-continue", inChunks], `x${crlf}${smuggled}`)],
    ["with a length and chunks", post(["Expect: 100-continue", "Content-Length: 3", inChunks], empty + smuggled)],
    ["obfuscated with a length of 0", post(["Expect: y 100-continue", "Content-Length: 0"], smuggled)],
  ]);
}

function upgrades(): readonly Http1Input[] {
  const socket = (...more: readonly string[]): string =>
    head("GET /chat HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket", ...more);
  const h2c = (...more: readonly string[]): string =>
    head("GET / HTTP/1.1", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA", ...more) + smuggled;
  const connect = (target: string, ...more: readonly string[]): string =>
    head(`CONNECT ${target} HTTP/1.1`, ...more) + smuggled;
  return [
    ...family("h2c", "plain", [
      ["as it should be", h2c("Connection: Upgrade, HTTP2-Settings")],
      ["without the settings in Connection", h2c("Connection: Upgrade")],
      ["without Connection", h2c()],
      ["in capitals", head("GET / HTTP/1.1", "Connection: UPGRADE", "Upgrade: H2C") + smuggled],
      ["with another", head("GET / HTTP/1.1", "Connection: Upgrade", "Upgrade: h2c, websocket") + smuggled],
      [
        "with a body",
        `${head("POST / HTTP/1.1", "Connection: Upgrade", "Upgrade: h2c", "Content-Length: 3")}abc${smuggled}`,
      ],
    ]),
    ...family("upgrade", "upgrades", [
      ["a tunnel", socket() + smuggled],
      ["with a length", `${socket("Content-Length: 3")}abc${smuggled}`],
      ["with a length of 0", socket("Content-Length: 0") + smuggled],
      ["with chunks", socket(inChunks) + empty + smuggled],
      ["with both", socket("Content-Length: 3", inChunks) + empty + smuggled],
      ["of a POST", head("POST / HTTP/1.1", "Connection: upgrade", "Upgrade: websocket") + smuggled],
      ["of a HEAD", head("HEAD / HTTP/1.1", "Connection: upgrade", "Upgrade: websocket") + smuggled],
      ["to h2c", head("GET / HTTP/1.1", "Connection: upgrade", "Upgrade: h2c") + smuggled],
      ["to what is not taken", head("GET / HTTP/1.1", "Connection: upgrade", "Upgrade: irc") + smuggled],
      ["to two", head("GET / HTTP/1.1", "Connection: upgrade", "Upgrade: websocket, irc") + smuggled],
      ["in two lines", head("GET / HTTP/1.1", "Connection: upgrade", "Upgrade: websocket", "Upgrade: irc") + smuggled],
      ["to nothing", head("GET / HTTP/1.1", "Connection: upgrade", "Upgrade: ") + smuggled],
      ["without Upgrade", head("GET / HTTP/1.1", "Connection: upgrade") + smuggled],
      ["without Connection", head("GET / HTTP/1.1", "Upgrade: websocket") + smuggled],
      ["hidden by Connection", socket("Connection: sec-websocket-key", "Sec-WebSocket-Key: x") + smuggled],
      ["with Expect", socket("Expect: 100-continue") + smuggled],
    ]),
    ...family("CONNECT", "upgrades", [
      ["a tunnel", connect("a:1")],
      ["with a length", connect("a:1", "Content-Length: 3")],
      ["with a length of 0", connect("a:1", "Content-Length: 0")],
      ["with chunks", connect("a:1", inChunks)],
      ["with an upgrade", connect("a:1", "Connection: upgrade", "Upgrade: websocket")],
      ["without a port", connect("a")],
      ["with an empty port", connect("a:")],
      ["with a port of letters", connect("a:b")],
      ["with a port that is too large", connect("a:65536")],
      ["with a negative port", connect("a:-1")],
      ["with two ports", connect("a:1:2")],
      ["to an address of IPv6", connect("[::1]:1")],
      ["to a bracket", connect("[:1")],
      ["to a path", connect("/")],
      ["to an asterisk", connect("*")],
      ["to a URL", connect("http://a:1/")],
      ["with a query", connect("a:1?b")],
      ["without Host", `CONNECT a:1 HTTP/1.1${crlf}${crlf}${smuggled}`],
    ]),
  ];
}
