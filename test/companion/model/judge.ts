/** Holds what came of a request against what may have come. */
import type { Exchange } from "./exchange.ts";
import { buildBody } from "./exchange.ts";
import type { Expectation, ForwardedAnswer, LocalAnswer } from "./expectation.ts";
import type { Attempt } from "./records.ts";
import { type ModelRequest, requestHeaders, responseHeaders } from "./request.ts";
import type { Seen } from "./upstreams.ts";

/** Timers may end a little early, by a clock that is read at another moment. */
const clockSlackMs = 5;

export interface Verdict {
  /** Expectations that fit. */
  readonly fitting: readonly Expectation[];
  /** Why each does not, where none does. */
  readonly faults: readonly string[];
}

export interface Evidence {
  readonly request: ModelRequest;
  readonly exchange: Exchange;
  readonly attempts: readonly Attempt[];
  /** Copies for mirrors come in their own time: they are counted when all is over. */
  readonly isOver: boolean;
}

export function judge(expectations: readonly Expectation[], evidence: Evidence): Verdict {
  const judged = expectations.map((expectation) => ({ expectation, faults: findFaults(expectation, evidence) }));
  const fitting = judged.filter(({ faults }) => faults.length === 0).map(({ expectation }) => expectation);
  return {
    fitting,
    faults: fitting.length > 0 ? [] : [...new Set(judged.map(({ faults }) => faults.join("; ")))],
  };
}

function findFaults(expectation: Expectation, evidence: Evidence): readonly string[] {
  const { exchange } = evidence;
  if (expectation.kind === "refused") {
    // Whoever has gone before is not told.
    return ["refused", "cancelled"].includes(exchange.outcome) ? [] : ["not refused"];
  }
  if (expectation.kind === "cut") {
    const isCut =
      exchange.outcome === "broken" &&
      exchange.status !== 0 &&
      exchange.elapsedMs + clockSlackMs >= expectation.leastMs;
    return isCut ? [] : ["not cut off by its timeout"];
  }
  const counts = countFaults(expectation, evidence);
  if (exchange.outcome === "cancelled") return counts;
  if (exchange.outcome !== "answered") return [`${exchange.outcome}: ${exchange.error}`];
  const own =
    expectation.kind === "local" ? localFaults(expectation, exchange) : forwardedFaults(expectation, evidence);
  return [...answerFaults(expectation, exchange), ...own, ...counts];
}

function answerFaults(
  expected: LocalAnswer | ForwardedAnswer,
  { status, headers, elapsedMs }: Exchange,
): readonly string[] {
  const wanted = expected.headers;
  return [
    ...compare("status", status, expected.status),
    ...compare("server", headers["server"], expected.serverName),
    ...(elapsedMs + clockSlackMs < expected.leastMs ? [`after ${elapsedMs} ms, not ${expected.leastMs}`] : []),
    ...(wanted === undefined ? [] : responseHeaders.flatMap((name) => compare(name, headers[name], wanted[name]))),
  ];
}

function localFaults({ body, location }: LocalAnswer, exchange: Exchange): readonly string[] {
  const text = exchange.body.toString();
  const isBody = body.kind === "whole" ? text === body.text : text.startsWith(body.text);
  return [
    ...(isBody ? [] : [`body: ${JSON.stringify(text.slice(0, 100))}, not ${JSON.stringify(body.text)}`]),
    ...compare("location", exchange.headers["location"], location),
    ...compare("x-seen", exchange.headers["x-seen"], undefined),
  ];
}

function forwardedFaults(expected: ForwardedAnswer, { request, exchange, attempts }: Evidence): readonly string[] {
  const text = exchange.headers["x-seen"];
  if (typeof text !== "string") return ["not an upstream's answer"];
  const seen = JSON.parse(text) as Seen;
  const sent = expected.status === 503 ? Buffer.from("failing") : buildBody(request.id, request.bodySize);
  // What goes both ways is compared as it goes.
  const isStreamed = ["echo", "upgrade"].includes(request.ask) && expected.status !== 503;
  return [
    ...(expected.hosts.has(seen.upstream) ? [] : [`from ${seen.upstream}, not ${[...expected.hosts].join(" or ")}`]),
    // HTTP/2 has no upgrades: there it is a CONNECT.
    ...(request.ask === "upgrade" && seen.method === "CONNECT" ? [] : compare("method", seen.method, request.method)),
    ...compare("path", seen.path, expected.path),
    ...compare("host", seen.host, expected.host),
    ...requestHeaders.flatMap((name) => compare(`sent ${name}`, seen.headers[name], expected.requestHeaders[name])),
    ...(isStreamed || exchange.body.equals(sent) ? [] : [`body of ${exchange.body.length} bytes, not ${sent.length}`]),
    ...orderFaults(expected, attempts, seen.upstream),
  ];
}

/** Who answered must have been asked, and last. */
function orderFaults(
  { isUnordered }: ForwardedAnswer,
  attempts: readonly Attempt[],
  upstream: string,
): readonly string[] {
  const asked = attempts.filter(({ isShadow }) => !isShadow).map((attempt) => attempt.upstream);
  if (isUnordered) return asked.includes(upstream) ? [] : [`${upstream} was not asked`];
  return compare("the last attempt", asked.at(-1), upstream);
}

function countFaults(
  expected: LocalAnswer | ForwardedAnswer,
  { exchange, attempts, isOver }: Evidence,
): readonly string[] {
  const main = attempts.filter(({ isShadow }) => !isShadow);
  const shadows = attempts.length - main.length;
  const isCut = exchange.outcome === "cancelled";
  const { least, most } = expected.attempts;
  const before = expected.kind === "forwarded" && !isCut && !expected.isUnordered ? main.slice(0, -1) : [];
  const strange = before.filter(({ upstream }) => !expected.tried.has(upstream));
  const isFew = !isCut && main.length < least;
  // Nobody says when a copy is sent of what was given up.
  const fewest = isCut || !isOver ? 0 : expected.shadows.least;
  return [
    ...(isFew || main.length > most ? [`${main.length} attempts, not ${least} to ${most}`] : []),
    ...strange.map(({ upstream }) => `was tried at ${upstream} before`),
    ...(shadows < fewest || shadows > expected.shadows.most
      ? [`${shadows} copies, not ${fewest} to ${expected.shadows.most}`]
      : []),
  ];
}

function compare(what: string, got: unknown, wanted: unknown): readonly string[] {
  return got === wanted ? [] : [`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`];
}
