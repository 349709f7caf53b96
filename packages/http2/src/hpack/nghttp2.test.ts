/** What nghttp2, the library in Node, writes is read, and it reads what is written here. */
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { clientPreface, frameFlags, frameHeadBytes, frameTypes } from "../frame-types.ts";
import { frame } from "../test-session.ts";
import { HpackDecoder } from "./decoder.ts";
import { HpackEncoder } from "./encoder.ts";

const endOfHeadersAndStream = frameFlags.endHeaders | frameFlags.endStream;

/** Answers each request with its own headers. */
function echoHeads(socket: Socket): void {
  const decoder = new HpackDecoder(4_096);
  const encoder = new HpackEncoder();
  let pending = Buffer.alloc(0);
  let skip = clientPreface.length;
  socket.write(frame(frameTypes.settings, 0, 0));
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= skip + frameHeadBytes) {
      const length = pending.readUIntBE(skip, 3);
      const end = skip + frameHeadBytes + length;
      if (pending.length < end) return;
      const stream = pending.readUInt32BE(skip + 5);
      const isHead = pending[skip + 3] === frameTypes.headers;
      // Without padding; the priority that nghttp2 may send takes five bytes.
      const start = skip + frameHeadBytes + (((pending[skip + 4] ?? 0) & 0x20) === 0 ? 0 : 5);
      if (isHead) answer(stream, pending.subarray(start, end));
      pending = pending.subarray(end);
      skip = 0;
    }
  });

  function answer(stream: number, block: Buffer): void {
    const { raw } = decoder.decode(block, 1_000_000);
    const head = [":status", "200", ...raw.map((text, index) => (index % 2 === 0 ? text.replace(":", "x-of-") : text))];
    const target = Buffer.alloc(HpackEncoder.bound(head));
    const payload = target.subarray(0, encoder.encode(head, target, 0));
    socket.write(frame(frameTypes.headers, endOfHeadersAndStream, stream, payload));
  }
}

async function ask(session: ClientHttp2Session, headers: Record<string, string>): Promise<string[]> {
  const request = session.request(headers);
  request.resume();
  const [, , raw] = (await once(request, "response")) as [unknown, unknown, string[]];
  return raw;
}

it("agrees with nghttp2 on hundreds of heads of one connection", async () => {
  const server = createServer(echoHeads);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(() => {
    session.destroy();
    server.close();
  });
  const printable = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index)).join("");
  for (let round = 0; round < 300; round++) {
    const own = {
      "user-agent": "test",
      authorization: `Bearer ${round}`,
      "x-all": `x${printable}x`,
      [`x-name-${round % 40}`]: `value ${round % 7}`,
      "x-long": "long-".repeat(round % 90),
      "x-bytes": Buffer.from([0xe9, 0x80 + (round % 100), 0xff]).toString("latin1"),
    };
    const raw = await ask(session, { ":path": `/${round}`, ...own });
    const answered = Object.fromEntries(raw.flatMap((name, at) => (at % 2 === 0 ? [[name, raw[at + 1]]] : [])));
    expect(answered).toMatchObject({
      ...own,
      ":status": "200",
      "x-of-path": `/${round}`,
    });
  }
});
