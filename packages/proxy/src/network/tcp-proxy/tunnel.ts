/** Connections of bytes inside requests: CONNECT or POST over HTTP/1.1 or HTTP/2. */
import { Duplex } from "node:stream";
import type { TcpProxy_TunnelingConfig } from "@meltemi/protos/envoy/extensions/filters/network/tcp_proxy/v3";
import type { NetworkFilterEnv } from "../../config/env.ts";
import { compileTextFormat } from "../../formatter/compile-format.ts";
import type { BodySink, BodySource } from "../../http/body.ts";
import { HeaderList } from "../../http/header-list.ts";
import { ConfigError, within } from "../../lib/config-error.ts";
import type { DownstreamConnection } from "../../listeners/connection.ts";
import { compileHeaderMutation } from "../../router/header-mutation.ts";
import {
  type Host,
  type PendingRequest,
  type UpstreamCluster,
  type UpstreamConnection,
  UpstreamError,
} from "../../upstream/types.ts";

export interface TunnelTarget {
  readonly cluster: UpstreamCluster;
  readonly host: Host;
  readonly connection: DownstreamConnection;
}

/** Opens a tunnel. Rejects with UpstreamError, also where the answer is not 2xx. */
export type Tunnel = (target: TunnelTarget) => Promise<UpstreamConnection>;

/** Under these names other filters and logs find what the other end of a tunnel said. */
const responseHeadersState = "envoy.tcp_proxy.propagate_response_headers";
const responseTrailersState = "envoy.tcp_proxy.propagate_response_trailers";

/** Throws ConfigError. */
export function compileTunnel(config: TcpProxy_TunnelingConfig, env: NetworkFilterEnv): Tunnel {
  const { hostname = "" } = config;
  if (hostname === "") throw new ConfigError("hostname", "must not be empty");
  if (config.post_path && config.use_post !== true) {
    throw new ConfigError("post_path", "is allowed with use_post only");
  }
  const authorityOf = within("hostname", () => compileTextFormat(hostname, { clusters: env.clusters }));
  const addHeaders = compileHeaderMutation(config.headers_to_add, undefined, "request");
  const isPost = config.use_post === true;
  return async ({ cluster, host, connection }) => {
    const entry = { info: connection.info };
    const headers = new HeaderList();
    addHeaders?.(headers, entry);
    const stream = new TunnelStream();
    let localAddress = "";
    const pending = cluster.send(
      host,
      {
        method: isPost ? "POST" : "CONNECT",
        scheme: "http",
        authority: authorityOf(entry),
        path: isPost ? config.post_path || "/" : "",
        headers,
        body: stream.requestBody,
        upgrade: isPost ? undefined : "connect",
        downstreamProtocol: "HTTP/1.1",
        downstream: connection,
        onSent: (address) => {
          localAddress = address;
        },
      },
      "DEFAULT",
    );
    await answered({ pending, stream, host, connection, config });
    return {
      stream,
      localAddress,
      close: () => {
        stream.destroy();
        pending.cancel();
      },
    };
  };
}

interface Awaited {
  readonly pending: PendingRequest;
  readonly stream: TunnelStream;
  readonly host: Host;
  readonly connection: DownstreamConnection;
  readonly config: TcpProxy_TunnelingConfig;
}

async function answered({ pending, stream, host, connection, config }: Awaited): Promise<void> {
  const response = await pending.response;
  if (config.propagate_response_headers === true) keep(connection, responseHeadersState, response.headers);
  if (response.status < 200 || response.status > 299) {
    response.body?.cancel();
    pending.cancel();
    stream.destroy();
    throw new UpstreamError("connection-failure", {
      host,
      isSent: true,
      transportFailure: `the tunnel was answered with ${response.status}`,
    });
  }
  stream.receive(response.body, (trailers) => {
    if (config.propagate_response_trailers === true) keep(connection, responseTrailersState, trailers);
  });
}

function keep(connection: DownstreamConnection, name: string, headers: HeaderList): void {
  connection.filterState.set(name, { text: JSON.stringify([...headers]), value: headers });
}

/** A request's body and its answer's body as one stream of both directions. */
class TunnelStream extends Duplex {
  readonly requestBody: BodySource;
  #sink: BodySink | undefined;
  #answer: BodySource | undefined;
  /** What goes on when the sink takes more. */
  #goOn: (() => void) | undefined;
  #isEnded = false;

  constructor() {
    super({ allowHalfOpen: true });
    this.requestBody = {
      pipe: (sink) => {
        this.#sink = sink;
        this.#resume();
      },
      resume: () => this.#resume(),
      cancel: (cause) => {
        this.#sink = undefined;
        this.#isEnded = true;
        this.destroy(cause);
      },
    };
    this.on("error", () => undefined);
  }

  receive(body: BodySource | undefined, onTrailers: (trailers: HeaderList) => void): void {
    if (body === undefined) {
      this.push(null);
      return;
    }
    this.#answer = body;
    body.pipe({
      write: (chunk) => this.destroyed || this.push(chunk),
      end: (trailers) => {
        if (trailers !== undefined) onTrailers(trailers);
        if (!this.destroyed) this.push(null);
      },
      abort: (cause) => {
        this.destroy(cause);
      },
    });
  }

  override _read(): void {
    this.#answer?.resume();
  }

  override _write(chunk: Buffer, _encoding: string, callback: (cause?: Error | null) => void): void {
    this.#whenTaken(() => {
      if (this.#sink?.write(chunk) === true) callback();
      else this.#goOn = () => callback();
    });
  }

  override _final(callback: (cause?: Error | null) => void): void {
    this.#whenTaken(() => {
      this.#isEnded = true;
      this.#sink?.end();
      callback();
    });
  }

  override _destroy(cause: Error | null, callback: (cause?: Error | null) => void): void {
    if (!this.#isEnded) {
      this.#isEnded = true;
      this.#sink?.abort(cause ?? new Error("the connection is closed"));
    }
    this.#answer?.cancel();
    callback(cause);
  }

  /** Bytes wait until somebody takes the request's body. */
  #whenTaken(run: () => void): void {
    if (this.#sink === undefined) this.#goOn = run;
    else run();
  }

  #resume(): void {
    const goOn = this.#goOn;
    this.#goOn = undefined;
    goOn?.();
  }
}
