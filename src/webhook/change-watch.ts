import type { KubeClient, KubeStream } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import { pause } from "../lib/pause.ts";
import { ownField, ownText } from "./admission-review.ts";

export interface ChangeWatchOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** Path of the resource. */
  readonly path: string;
  /** Changes after this count; "" where it is not known: then only the time is waited for. */
  readonly resourceVersion: string;
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/** How long is waited where there is no watch. */
const lookAgainMs = 5_000;

/**
 * Resolves when something changes below the path, when the time is over, when the signal is aborted: the caller looks at
 * everything again in any case, so nothing is lost where a watch cannot be had. Never rejects.
 */
export async function waitForChange({
  client,
  clock,
  path,
  resourceVersion,
  waitMs,
  signal,
}: ChangeWatchOptions): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const waiting = pause(clock, waitMs, either);
  if (resourceVersion === "") return waiting;
  const timeoutSeconds = String(Math.ceil(waitMs / 1000) + 5);
  const query = { watch: "true", resourceVersion, timeoutSeconds };
  const changed = watchOnce(client, { path, query, signal: either }).then(async (isChanged) => {
    // A watch that broke, or cannot be had, tells nothing any more: then looking now and then has to do.
    if (!isChanged) await pause(clock, lookAgainMs, either);
    over.abort();
  });
  await waiting;
  over.abort();
  await changed;
}

interface WatchRequest {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** True after the first change; false where the watch failed or ended without one. */
async function watchOnce(client: KubeClient, request: WatchRequest): Promise<boolean> {
  let stream: KubeStream | undefined;
  const close = (): void => stream?.close();
  try {
    stream = await client.stream(request);
    request.signal.addEventListener("abort", close);
    if (request.signal.aborted) return false;
    return await hasChange(stream);
  } catch {
    return false;
  } finally {
    request.signal.removeEventListener("abort", close);
    close();
  }
}

/** Reads lines of JSON until one tells of something else than a bookmark. An error is news too: what is known is too old. */
async function hasChange(stream: KubeStream): Promise<boolean> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream.chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (lines.some(isChange)) return true;
  }
  return false;
}

function isChange(line: string): boolean {
  try {
    const event: unknown = JSON.parse(line);
    return ownField(event, "object") !== undefined && ownText(event, "type") !== "BOOKMARK";
  } catch {
    return false;
  }
}
