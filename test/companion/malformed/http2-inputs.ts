/** Frames of HTTP/2 that are wrong, or that become two requests for a server of HTTP/1.1 behind a careless proxy. */
import {
  buildContinuation,
  buildData,
  buildFrame,
  buildHeaders,
  endHeaders,
  endStream,
  type Field,
} from "./http2-frames.ts";
import type { Profile } from "./profiles.ts";

export interface Http2Input {
  readonly name: string;
  readonly profile: Profile;
  readonly frames: Buffer;
}

type Row = readonly [name: string, ...frames: readonly Buffer[]];

const method: Field = [":method", "GET"];
const scheme: Field = [":scheme", "http"];
const authority: Field = [":authority", "a"];
const path: Field = [":path", "/"];
const good: readonly Field[] = [method, scheme, authority, path];
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

export const http2Inputs: readonly Http2Input[] = [
  ...pseudoHeaders(),
  ...targets(),
  ...names(),
  ...values(),
  ...connectionHeaders(),
  ...lengths(),
  ...trailers(),
  ...tunnels(),
  ...sizes(),
  ...frames(),
];

function family(title: string, profile: Profile, rows: readonly Row[]): readonly Http2Input[] {
  return rows.map(([name, ...parts]) => ({ name: `${title}: ${name}`, profile, frames: Buffer.concat(parts) }));
}

/** A request on stream 1 without content. */
function request(...fields: readonly Field[]): Buffer {
  return buildHeaders(1, fields);
}

/** A good request with more headers. */
function withHeaders(...fields: readonly Field[]): Buffer {
  return request(...good, ...fields);
}

/** A POST whose content follows. */
function post(...fields: readonly Field[]): Buffer {
  return buildHeaders(1, [[":method", "POST"], scheme, authority, path, ...fields], endHeaders);
}

function pseudoHeaders(): readonly Http2Input[] {
  return family("pseudo header", "plain", [
    ["none", request(["x", "1"])],
    ["no method", request(scheme, authority, path)],
    ["no scheme", request(method, authority, path)],
    ["no authority", request(method, scheme, path)],
    ["no authority, with host", request(method, scheme, path, ["host", "a"])],
    ["no path", request(method, scheme, authority)],
    ["two methods", request(method, [":method", "POST"], scheme, authority, path)],
    ["two schemes", request(method, scheme, [":scheme", "https"], authority, path)],
    ["two authorities", request(method, scheme, authority, [":authority", "b"], path)],
    ["two paths", request(method, scheme, authority, path, [":path", "/smuggled"])],
    ["unknown", request(...good, [":x", "1"])],
    ["of answers", request(...good, [":status", "200"])],
    ["after a header", request(method, scheme, authority, ["x", "1"], path)],
    ["protocol without CONNECT", request(...good, [":protocol", "websocket"])],
    ["in capitals", request([":METHOD", "GET"], scheme, authority, path)],
    ["empty name", request(...good, [":", "1"])],
    ["in another order", request(path, authority, scheme, method)],
    ["an empty method", request([":method", ""], scheme, authority, path)],
    ["a method in lower case", request([":method", "get"], scheme, authority, path)],
    ["a method with a space", request([":method", "GET /smuggled HTTP/1.1"], scheme, authority, path)],
    [
      "a method with a line end",
      request([":method", `GET / HTTP/1.1\r\nHost: a\r\n\r\n${smuggled}`], scheme, authority, path),
    ],
    ["a method with a NUL", request([":method", "GET\x00"], scheme, authority, path)],
    ["a method with a slash", request([":method", "GET/"], scheme, authority, path)],
    ["a method that nobody knows", request([":method", "SMUGGLE"], scheme, authority, path)],
    ["an empty scheme", request(method, [":scheme", ""], authority, path)],
    ["another scheme", request(method, [":scheme", "ftp"], authority, path)],
    ["a scheme with a URL", request(method, [":scheme", "http://b/smuggled?"], authority, path)],
    ["a scheme with a line end", request(method, [":scheme", "http\r\nx: 1"], authority, path)],
  ]);
}

function targets(): readonly Http2Input[] {
  const paths = [
    "",
    "x",
    "*",
    "/x y",
    "/x\r\ny",
    `/ HTTP/1.1\r\nHost: a\r\n\r\n${smuggled}`,
    "/x\ny",
    "/x\ty",
    "/x\x00",
    "/x\x7f",
    "/\xe9",
    "/#x",
    "/x#",
    "http://b/x",
    "//b/x",
    "/?",
    "/%00",
    "/%0d%0a",
    "/a/../b",
    "/a%2fb",
    "/\\x",
    '/"<>|^`{}',
  ];
  const authorities = [
    "",
    "b/x",
    "b?x",
    "b#x",
    "b x",
    "b\r\nx: 1",
    "b\x00",
    "u@b",
    "b:80",
    "b:x",
    "b:99999",
    "b,c",
    "[::1]",
    "[::1",
    "\xe9",
    "b%00",
    "b\\c",
  ];
  const host = (...fields: readonly Field[]): Buffer => request(method, scheme, ...fields);
  return [
    ...family(
      "path",
      "plain",
      paths.map((value): Row => [JSON.stringify(value), request(method, scheme, authority, [":path", value])]),
    ),
    ...family(
      "path, changed",
      "forward",
      paths
        .slice(-8)
        .map((value): Row => [JSON.stringify(value), request(method, scheme, authority, [":path", value])]),
    ),
    ...family(
      "authority",
      "plain",
      authorities.map((value): Row => [JSON.stringify(value), request(method, scheme, [":authority", value], path)]),
    ),
    ...family("host", "plain", [
      ["other than the authority", host(authority, path, ["host", "b"])],
      ["the same as the authority", host(authority, path, ["host", "a"])],
      ["two beside the authority", host(authority, path, ["host", "b"], ["host", "c"])],
      ["two alone", host(path, ["host", "b"], ["host", "c"])],
      ["empty beside the authority", host(authority, path, ["host", ""])],
      ["beside an empty authority", host([":authority", ""], path, ["host", "b"])],
      ["bad beside the authority", host(authority, path, ["host", "b/c"])],
      ["bad alone", host(path, ["host", "b/c"])],
      ["with a line end", host(authority, path, ["host", "b\r\nx: 1"])],
    ]),
    ...family("asterisk", "plain", [
      ["for OPTIONS", request([":method", "OPTIONS"], scheme, authority, [":path", "*"])],
    ]),
  ];
}

function names(): readonly Http2Input[] {
  const bad = [
    "",
    "X",
    "x y",
    "x:",
    "x\r\ny",
    "x: 1\r\ny",
    "x\x00",
    "x\x7f",
    "x\xe9",
    "x(",
    "x/",
    "x\t",
    "Content-Length",
    "transfer-encoding ",
    " x",
    "x_y",
    "__proto__",
    "x'y",
  ];
  return [
    ...family(
      "name",
      "plain",
      bad.map((name): Row => [JSON.stringify(name), withHeaders([name, "1"])]),
    ),
    ...family("name, no underscores", "hardened", [["x_y", withHeaders(["x_y", "1"])]]),
    ...family("name, underscores dropped", "forward", [["x_y", withHeaders(["x_y", "1"], ["z", "1"])]]),
  ];
}

function values(): readonly Http2Input[] {
  const tricky = [
    "",
    " 1",
    "1 ",
    "\t1",
    "1\t",
    "a\tb",
    "a\rb",
    "a\nb",
    "a\r\nb",
    "a\r\ny: 1",
    `a\r\n\r\n${smuggled}`,
    "a\r\ntransfer-encoding: chunked",
    "a\x00b",
    "\x01",
    "\x1f",
    "\x7f",
    "\x80",
    "\xff",
    "\xe9",
  ];
  return family("value", "plain", [
    ...tricky.map((value): Row => [JSON.stringify(value), withHeaders(["x", value])]),
    ["two cookies", withHeaders(["cookie", "a=1"], ["cookie", "b=2"])],
    ["a cookie with a line end", withHeaders(["cookie", "a=1\r\nx: 1"])],
    ["the same twice", withHeaders(["x", "1"], ["x", "2"])],
    ["an address twice", withHeaders(["x-forwarded-for", "1.2.3.4"], ["x-forwarded-for", "5.6.7.8"])],
  ]);
}

function connectionHeaders(): readonly Http2Input[] {
  const fields: readonly Field[] = [
    ["connection", "close"],
    ["connection", "keep-alive"],
    ["connection", "x"],
    ["connection", ""],
    ["keep-alive", "timeout=5"],
    ["proxy-connection", "close"],
    ["proxy-connection", "keep-alive"],
    ["transfer-encoding", "chunked"],
    ["transfer-encoding", "identity"],
    ["transfer-encoding", "gzip"],
    ["transfer-encoding", ""],
    ["upgrade", "websocket"],
    ["upgrade", "h2c"],
    ["http2-settings", "AAMAAABk"],
    ["te", "trailers"],
    ["te", "gzip"],
    ["te", "trailers, gzip"],
    ["te", "Trailers"],
    ["te", ""],
    ["te", "chunked"],
    ["trailer", "x"],
    ["expect", "100-continue"],
    ["expect", "x"],
    ["x-forwarded-proto", ""],
    ["x-forwarded-proto", "https"],
    ["x-envoy-internal", "true"],
  ];
  return family("connection", "plain", [
    ...fields.map(([name, value]): Row => [`${name}: ${value}`, withHeaders([name, value])]),
    ["an upgrade", withHeaders(["connection", "upgrade"], ["upgrade", "websocket"])],
    ["chunks in content", post(["transfer-encoding", "chunked"]), buildData(1, `0\r\n\r\n${smuggled}`)],
    ["chunks and a length", post(["transfer-encoding", "chunked"], ["content-length", "3"]), buildData(1, "abc")],
    [
      "chunks hidden",
      post(["connection", "transfer-encoding"], ["transfer-encoding", "chunked"]),
      buildData(1, `0\r\n\r\n${smuggled}`),
    ],
  ]);
}

function lengths(): readonly Http2Input[] {
  const length = (value: string): Field => ["content-length", value];
  const bad = ["", "x", "-3", "+3", "3,3", "3, 3", "0x3", "3 ", " 3", "3.0", "99999999999999999999", "03"];
  return family("content", "plain", [
    ...bad.map((value): Row => [`length ${JSON.stringify(value)}`, post(length(value)), buildData(1, "abc")]),
    ["of the length", post(length("3")), buildData(1, "abc")],
    ["longer than its length", post(length("3")), buildData(1, `abc${smuggled}`)],
    ["longer than its length of 0", post(length("0")), buildData(1, smuggled)],
    ["shorter than its length", post(length("5")), buildData(1, "abc")],
    ["none for a length", buildHeaders(1, [[":method", "POST"], scheme, authority, path, length("3")])],
    ["none for a length of 0", buildHeaders(1, [[":method", "POST"], scheme, authority, path, length("0")])],
    ["two lengths that differ", post(length("3"), length("4")), buildData(1, "abc")],
    ["two lengths that are the same", post(length("3"), length("3")), buildData(1, "abc")],
    ["without a length", post(), buildData(1, smuggled)],
    ["in pieces", post(length("6")), buildData(1, "abc", 0), buildData(1, "def")],
    ["in pieces, too long", post(length("5")), buildData(1, "abc", 0), buildData(1, "def")],
    ["empty pieces", post(), buildData(1, "", 0), buildData(1, "", 0), buildData(1, "abc")],
    ["of GET", buildHeaders(1, good, endHeaders), buildData(1, smuggled)],
    ["of GET with a length", buildHeaders(1, [...good, length("3")], endHeaders), buildData(1, "abc")],
    ["of HEAD", buildHeaders(1, [[":method", "HEAD"], scheme, authority, path], endHeaders), buildData(1, smuggled)],
    ["without end", post(length("5")), buildData(1, "abc", 0)],
    ["after its end", post(), buildData(1, "abc"), buildData(1, smuggled)],
    ["with padding", post(), buildFrame(0, endStream | 0x8, 1, "\x03abc\x00\x00\x00")],
    ["with more padding than content", post(), buildFrame(0, endStream | 0x8, 1, "\x09abc")],
  ]);
}

function trailers(): readonly Http2Input[] {
  const fields: readonly Field[] = [
    ["x", "1"],
    ["content-length", "3"],
    ["transfer-encoding", "chunked"],
    [":path", "/smuggled"],
    ["host", "b"],
    ["connection", "close"],
    ["X", "1"],
    ["x", "1\r\ny: 2"],
    ["te", "trailers"],
    ["", "1"],
  ];
  return [
    ...family("trailer", "plain", [
      ...fields.map(
        (field): Row => [
          `${field[0]}: ${JSON.stringify(field[1])}`,
          post(),
          buildData(1, "abc", 0),
          buildHeaders(1, [field]),
        ],
      ),
      ["without the stream's end", post(), buildData(1, "abc", 0), buildHeaders(1, [["x", "1"]], endHeaders)],
      ["none in them", post(), buildData(1, "abc", 0), buildHeaders(1, [])],
      ["a second head", post(), buildHeaders(1, good)],
      [
        "content shorter than its length",
        post(["content-length", "5"]),
        buildData(1, "abc", 0),
        buildHeaders(1, [["x", "1"]]),
      ],
    ]),
    ...family(
      "trailer that is passed on",
      "lenient",
      fields
        .slice(0, 3)
        .map((field): Row => [`${field[0]}: ${field[1]}`, post(), buildData(1, "abc", 0), buildHeaders(1, [field])]),
    ),
  ];
}

function tunnels(): readonly Http2Input[] {
  const connect: Field = [":method", "CONNECT"];
  const to: Field = [":authority", "a:1"];
  const protocol: Field = [":protocol", "websocket"];
  const rows: readonly Row[] = [
    ["to a host", request(connect, to)],
    ["with a path", request(connect, to, path)],
    ["with a scheme", request(connect, to, scheme)],
    ["with both", request(connect, scheme, to, path)],
    ["without an authority", request(connect)],
    ["with a length", request(connect, to, ["content-length", "3"])],
    ["with a bad authority", request(connect, [":authority", "a/b"])],
    ["extended", request(connect, protocol, scheme, authority, path)],
    ["extended without a path", request(connect, protocol, scheme, authority)],
    ["extended without a scheme", request(connect, protocol, authority, path)],
    ["extended without an authority", request(connect, protocol, scheme, path)],
    ["extended to what is not taken", request(connect, [":protocol", "irc"], scheme, authority, path)],
    ["extended to nothing", request(connect, [":protocol", ""], scheme, authority, path)],
    ["extended with a line end", request(connect, [":protocol", "websocket\r\nx: 1"], scheme, authority, path)],
    ["extended with a length", request(connect, protocol, scheme, authority, path, ["content-length", "3"])],
    ["extended with chunks", request(connect, protocol, scheme, authority, path, ["transfer-encoding", "chunked"])],
    ["extended, twice", request(connect, protocol, protocol, scheme, authority, path)],
  ];
  return [...family("tunnel", "plain", rows), ...family("tunnel that is taken", "upgrades", rows.slice(2))];
}

function sizes(): readonly Http2Input[] {
  const many = (count: number): readonly Field[] =>
    Array.from({ length: count }, (_, index): Field => [`x${index}`, "1"]);
  return family("size", "plain", [
    ["90 headers", withHeaders(...many(90))],
    ["101 headers", withHeaders(...many(101))],
    ["a header of 10 kB", withHeaders(["x", "a".repeat(10_000)])],
    ["a header in two frames", buildHeaders(1, good, endStream), buildContinuation(1, [["x", "1"]])],
    [
      "headers of 80 kB",
      buildHeaders(1, good, endStream),
      ...Array.from({ length: 7 }, (_, index) => buildContinuation(1, [[`x${index}`, "a".repeat(10_000)]], 0)),
      buildContinuation(1, [["y", "a".repeat(10_000)]]),
    ],
    ["a path of 10 kB", request(method, scheme, authority, [":path", `/${"a".repeat(10_000)}`])],
  ]);
}

/** What is wrong with frames themselves costs the connection, or the stream. */
function frames(): readonly Http2Input[] {
  return family("frame", "plain", [
    ["a head on stream 0", buildHeaders(0, good)],
    ["a head on an even stream", buildHeaders(2, good)],
    ["a lower stream after a higher one", buildHeaders(5, good), buildHeaders(3, good)],
    ["content on no stream", buildData(7, "abc"), request(...good)],
    ["content on stream 0", buildData(0, "abc"), request(...good)],
    ["a continuation of nothing", buildContinuation(1, good), request(...good)],
    ["a head that is interrupted", buildHeaders(1, good, endStream), buildHeaders(3, good)],
    ["a block that is none", buildFrame(1, endHeaders | endStream, 1, "\xff\xff\xff\xff\xff\xff")],
    ["a block that ends early", buildFrame(1, endHeaders | endStream, 1, "\x00\x05ab")],
    ["an index of no table", buildFrame(1, endHeaders | endStream, 1, "\xff\x7f")],
    ["a reset, then content", post(), buildFrame(3, 0, 1, "\x00\x00\x00\x08"), buildData(1, smuggled)],
    ["a window that grows by 0", request(...good), buildFrame(8, 0, 1, "\x00\x00\x00\x00")],
    ["a window that is too large", post(), buildFrame(8, 0, 1, "\x7f\xff\xff\xff"), buildData(1, "abc")],
    ["a promise of a client", request(...good), buildFrame(5, endHeaders, 1, "\x00\x00\x00\x02")],
    ["a kind that nobody knows", buildFrame(0xbe, 0, 1, "abc"), request(...good)],
    ["settings that are cut", buildFrame(4, 0, 0, "abc"), request(...good)],
    ["a ping that is cut", buildFrame(6, 0, 0, "abc"), request(...good)],
    ["HTTP/1.1 in place of a frame", Buffer.from(smuggled), request(...good)],
    ["a frame that is too long", buildFrame(0, 0, 1, "a".repeat(20_000)), request(...good)],
    ["a goaway of a client", request(...good), buildFrame(7, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x00")],
  ]);
}
