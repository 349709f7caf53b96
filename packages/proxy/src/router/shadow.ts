/** Copies of requests for other clusters: nobody waits for their answers. */
import type { BodySink } from "../http/body.ts";
import { bodyOf } from "../http/body.ts";
import type { Exchange } from "../http/exchange.ts";
import type { HeaderList } from "../http/header-list.ts";
import type { HttpRequest } from "../http/message.ts";
import type { Host, PendingRequest, UpstreamCluster, UpstreamRequest } from "../upstream/types.ts";
import type { MirrorPolicy } from "./mirror-policy.ts";
import type { RouterEnv } from "./router-env.ts";

export interface ChosenMirror {
  readonly cluster: string;
  readonly appendsShadow: boolean;
}

export interface ShadowOptions extends ChosenMirror {
  /** 0 for no bound. */
  readonly timeoutMs: number;
  readonly body: { readonly bytes: Uint8Array; readonly trailers: HeaderList | undefined } | undefined;
}

/** The clusters that get a copy of a request. Draws. */
export function chooseMirrors(mirrors: readonly MirrorPolicy[], request: HttpRequest): readonly ChosenMirror[] {
  return mirrors.flatMap(({ choose, appendsShadow }) => {
    const cluster = choose(request);
    return cluster === undefined ? [] : [{ cluster, appendsShadow }];
  });
}

/** Sends a copy of the request as it goes to its own upstream. Failures are nobody's business but the statistics'. */
export function sendShadow(env: RouterEnv, exchange: Exchange, options: ShadowOptions): void {
  const cluster = env.clusters.find(options.cluster);
  if (cluster === undefined) return;
  const request = copyRequest(env, exchange, options);
  const send = (host: Host): void => run(env, cluster.send(host, request, "DEFAULT"), { cluster, options });
  try {
    const host = cluster.chooseHost({ headers: request.headers, authority: request.authority });
    if (host instanceof Promise) host.then(send).catch(() => undefined);
    else send(host);
  } catch {
    // No host for it: its cluster has counted that.
  }
}

function run(
  env: RouterEnv,
  pending: PendingRequest,
  { cluster, options }: { readonly cluster: UpstreamCluster; readonly options: ShadowOptions },
): void {
  const deadline = options.timeoutMs > 0 ? env.deadlines.add(options.timeoutMs, () => pending.cancel()) : undefined;
  const finish = (): void => deadline?.cancel();
  pending.response.then(({ status, body }) => {
    const kind = { isInternal: true, isCanary: false, zones: "" };
    if (env.countsAnswers) env.factsOf(cluster).counters.countCode(status, kind);
    if (body === undefined) finish();
    else body.pipe(drain(finish));
  }, finish);
}

function drain(finish: () => void): BodySink {
  return { write: () => true, end: finish, abort: finish };
}

function copyRequest(env: RouterEnv, { request }: Exchange, { appendsShadow, body }: ShadowOptions): UpstreamRequest {
  const headers = request.headers.clone();
  // Envoy sends copies as a client of its own.
  headers.set("x-envoy-internal", "true");
  const forwarded = headers.joined("x-forwarded-for");
  headers.set("x-forwarded-for", forwarded === undefined ? env.localAddress : `${forwarded},${env.localAddress}`);
  return {
    method: request.method,
    scheme: request.scheme,
    authority: appendsShadow ? shadowAuthority(request.authority) : request.authority,
    path: request.path,
    headers,
    body: body && bodyOf(body.bytes, body.trailers),
    upgrade: undefined,
    downstreamProtocol: request.protocol,
  };
}

/** "a.com:80" becomes "a.com-shadow:80". */
export function shadowAuthority(authority: string): string {
  const parts = authority.split(":");
  return parts.length === 2 ? `${parts[0]}-shadow:${parts[1]}` : `${authority}-shadow`;
}
