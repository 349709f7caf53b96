/** The span of one attempt at an upstream, with Envoy's tags. */
import type { BodySource } from "../http/body.ts";
import type { HeaderList } from "../http/header-list.ts";
import type { HttpRequest } from "../http/message.ts";
import type { ResponseFlag } from "../http/response-flags.ts";
import {
  flagOfFailure,
  type Host,
  reasonOfFailure,
  type UpstreamCluster,
  UpstreamError,
  type UpstreamResponse,
} from "../upstream/types.ts";
import { tagGrpcResponse } from "./grpc-tags.ts";
import type { Span } from "./types.ts";

export interface AttemptTarget {
  readonly cluster: Pick<UpstreamCluster, "name" | "wire">;
  readonly host: Host;
  /** Attempts before this one. */
  readonly retries: number;
}

export class AttemptSpan {
  readonly #span: Span;
  readonly #target: AttemptTarget;
  #response: UpstreamResponse | undefined;
  #flag: ResponseFlag | undefined;

  constructor(span: Span, target: AttemptTarget) {
    this.#span = span;
    this.#target = target;
  }

  inject(request: HttpRequest): void {
    this.#span.inject(request);
  }

  /** The answer, whose end is watched: its trailers and its breaking off belong into the span. */
  watch(response: UpstreamResponse): UpstreamResponse {
    this.#response = response;
    tagGrpcResponse(this.#span, response.headers);
    const { body } = response;
    if (body === undefined) return response;
    return {
      ...response,
      body: watchEnd(body, {
        onEnd: (trailers) => tagGrpcResponse(this.#span, trailers),
        onAbort: (cause) => {
          if (cause instanceof UpstreamError) this.fail(cause);
        },
      }),
    };
  }

  /** The upstream broke off, or was never reached. */
  fail({ failure }: UpstreamError): void {
    this.#flag = flagOfFailure[failure];
    this.#span.setTag("error", "true");
    this.#span.setTag("error.reason", reasonOfFailure[failure]);
  }

  /** The time for this attempt alone is over. */
  timeOut(): void {
    this.#flag = "UT";
  }

  cancel(): void {
    this.#span.setTag("canceled", "true");
  }

  finish(): void {
    const { cluster, host, retries } = this.#target;
    const status = this.#response?.status;
    const tags: Readonly<Record<string, string>> = {
      component: "proxy",
      "http.protocol": this.#response?.protocol ?? "-",
      "http.status_code": String(status ?? 0),
      upstream_address: host.address,
      "peer.address": host.address,
      upstream_cluster: cluster.name,
      "upstream_cluster.name": cluster.wire.alt_stat_name || cluster.name,
      response_flags: this.#flag ?? "-",
    };
    for (const [name, value] of Object.entries(tags)) this.#span.setTag(name, value);
    if (status === undefined || status >= 500) this.#span.setTag("error", "true");
    if (retries > 0) this.#span.setTag("retry.count", String(retries));
    this.#span.finish();
  }
}

interface EndObserver {
  onEnd(trailers: HeaderList | undefined): void;
  onAbort(cause: Error): void;
}

function watchEnd(source: BodySource, { onEnd, onAbort }: EndObserver): BodySource {
  return {
    length: source.length,
    pipe(sink) {
      source.pipe({
        write: (chunk, isOwned) => sink.write(chunk, isOwned),
        end(trailers) {
          onEnd(trailers);
          sink.end(trailers);
        },
        abort(cause) {
          onAbort(cause);
          sink.abort(cause);
        },
      });
    },
    resume: () => source.resume(),
    cancel: (cause) => source.cancel(cause),
  };
}
