/**
 * A probe of kind httpGet, made as the kubelet makes it: certificates are not checked, redirects on the same host are
 * followed up to ten times, a redirect elsewhere is a success, and the beginning of the body is passed on.
 */
import { type IncomingHttpHeaders, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { Clock } from "../../../../src/lib/clock.ts";
import { bracketAddress } from "../../../../src/lib/host-port.ts";
import { failed, type ProbeOutcome, type ProbeTarget } from "./probe-target.ts";

export interface HttpProbe {
  readonly port: number;
  readonly path: string;
  readonly isTls: boolean;
  readonly timeoutMs: number;
  /** Of the kubelet's request: its headers are the probe's. */
  readonly headers: IncomingHttpHeaders;
  /** The agent's own port, in whose place the application's stands in the header Host. */
  readonly statusPort: number;
}

const maxRedirects = 10;
/** As much of the body as the kubelet shows in its events. */
const maxBodyBytes = 10 * 1024;
/** Headers of one connection, which end at the agent (RFC 9110, 7.6.1). */
const hopHeaders = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

export async function probeHttp(target: ProbeTarget, probe: HttpProbe, clock: Clock): Promise<ProbeOutcome> {
  const limit = new AbortController();
  const timer = clock.after(probe.timeoutMs, () => limit.abort());
  try {
    return await follow(target, probe, limit.signal);
  } catch (cause: unknown) {
    if (limit.signal.aborted) return failed(`no answer within ${probe.timeoutMs} ms`);
    return failed(cause instanceof Error ? cause.message : String(cause));
  } finally {
    timer.close();
  }
}

async function follow(target: ProbeTarget, probe: HttpProbe, signal: AbortSignal): Promise<ProbeOutcome> {
  const scheme = probe.isTls ? "https" : "http";
  const first = new URL(`${scheme}://${bracketAddress(target.host)}:${probe.port}${probe.path}`);
  let url = first;
  for (let redirects = 0; redirects < maxRedirects; redirects += 1) {
    const { status, location, body } = await ask(target, { ...probe, url, isFirst: url === first }, signal);
    if (status < 300 || status >= 400) return { status, body };
    const next = location === undefined ? undefined : URL.parse(location, url.href);
    // Without a place to go on, and on another host, the redirect itself is the answer: the application lives.
    if (!next || next.hostname !== first.hostname || !/^https?:$/.test(next.protocol)) return { status: 200 };
    url = next;
  }
  return failed(`more than ${maxRedirects} redirects`);
}

interface Step extends HttpProbe {
  readonly url: URL;
  readonly isFirst: boolean;
}

interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: Buffer;
}

function ask(target: ProbeTarget, step: Step, signal: AbortSignal): Promise<Answer> {
  const { url } = step;
  const isTls = url.protocol === "https:";
  const usualPort = isTls ? 443 : 80;
  const options = {
    method: "GET",
    host: target.host,
    port: url.port === "" ? usualPort : Number(url.port),
    path: `${url.pathname}${url.search}`,
    headers: buildHeaders(step),
    localAddress: target.localAddress,
    family: target.localAddress.includes(":") ? 6 : 4,
    agent: false as const,
    signal,
  };
  return new Promise((resolve, reject) => {
    const receive = (response: IncomingMessage): void => {
      readAtMost(response).then(
        (body) => resolve({ status: response.statusCode ?? 500, location: response.headers.location, body }),
        reject,
      );
    };
    const call = isTls
      ? requestHttps({ ...options, rejectUnauthorized: false, checkServerIdentity: () => undefined }, receive)
      : requestHttp(options, receive);
    call.on("error", reject);
    call.end();
  });
}

/** The kubelet's headers; Host names the application's port where it named the agent's. */
function buildHeaders({ headers, port, statusPort, url, isFirst }: Step): IncomingHttpHeaders {
  const kept = Object.entries(headers).filter(([name]) => !hopHeaders.has(name) && name !== "content-length");
  const host = isFirst ? (headers.host ?? url.host).replace(new RegExp(`:${statusPort}$`), `:${port}`) : url.host;
  return { ...Object.fromEntries(kept), host };
}

async function readAtMost(response: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    parts.push(part);
    size += part.length;
    if (size >= maxBodyBytes) break;
  }
  return Buffer.concat(parts).subarray(0, maxBodyBytes);
}
