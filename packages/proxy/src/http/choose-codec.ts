/** Which HTTP a client speaks: what is configured, what TLS agreed on, or what its first bytes are. */
import type { ClientConnection } from "./client-connection.ts";
import type { CodecConnection } from "./codec-stream.ts";
import { Http1Connection } from "./http1/server-connection.ts";
import { Http2Connection } from "./http2/server-connection.ts";

const preface = Buffer.from("PRI * HTTP/2");

/** Makes the codec, at once or when the first bytes are there; `onCodec` hears of it before any request. */
export function createCodec(
  client: ClientConnection,
  onCodec: (codec: CodecConnection, protocol: "http1" | "http2") => void,
): void {
  const { settings } = client.manager;
  const alpn = client.connection.tls?.alpn ?? "";
  if (settings.codec === "HTTP2" || (settings.codec === "AUTO" && alpn === "h2")) onCodec(startHttp2(client), "http2");
  // As in Envoy, what TLS agreed on decides, and the first bytes where it did not.
  else if (settings.codec === "HTTP1" || alpn !== "") onCodec(startHttp1(client), "http1");
  else sniff(client, onCodec);
}

function sniff(client: ClientConnection, onCodec: (codec: CodecConnection, protocol: "http1" | "http2") => void): void {
  const { stream } = client.connection;
  let bytes: Buffer | undefined;
  const stop = (): void => {
    stream.off("data", onData);
    stream.off("end", onEnd);
    stream.pause();
  };
  const onEnd = (): void => {
    stop();
    client.connection.close("flush");
  };
  const onData = (chunk: Buffer): void => {
    bytes = bytes === undefined ? chunk : Buffer.concat([bytes, chunk]);
    const length = Math.min(bytes.length, preface.length);
    const isPreface = bytes.compare(preface, 0, length, 0, length) === 0;
    if (isPreface && length < preface.length) return;
    stop();
    if (isPreface) {
      stream.unshift(bytes);
      onCodec(startHttp2(client), "http2");
      return;
    }
    const codec = startHttp1(client);
    onCodec(codec, "http1");
    codec.feed(bytes);
  };
  stream.on("data", onData);
  stream.on("end", onEnd);
}

function startHttp1(client: ClientConnection): Http1Connection {
  const { settings, env } = client.manager;
  const codec = new Http1Connection({
    connection: client.connection,
    options: settings.http1,
    receiver: client,
    clock: env.clock,
  });
  client.connection.stream.resume();
  return codec;
}

function startHttp2(client: ClientConnection): Http2Connection {
  const { settings, env, stats, http2Stats } = client.manager;
  return new Http2Connection({
    connection: client.connection,
    options: settings.http2,
    receiver: client,
    clock: env.clock,
    runtime: env.runtime,
    stats: http2Stats(),
    onPrematureResets: () => stats.counters.rq_too_many_premature_resets.inc(),
    onProtocolError: () => stats.counters.cx_protocol_error.inc(),
    onResetUnbegun: () => {
      stats.counters.rq_total.inc();
      stats.counters.rq_http2_total.inc();
      stats.counters.rq_rx_reset.inc();
    },
  });
}
