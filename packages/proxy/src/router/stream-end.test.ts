import { afterEach, expect, test } from "vitest";
import type { BodySink } from "../http/body.ts";
import { ExchangeResetError } from "../http/exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import { UpstreamError, type UpstreamResponse } from "../upstream/types.ts";
import { closeRigs, type Rig, startRig } from "./testing/router-rig.ts";

afterEach(closeRigs);

const counters = ({ stats, cluster }: Rig, name: string): (number | undefined)[] =>
  [stats, cluster.stats].map((each) => each.counters().get(name) ?? 0);

const waiting = { pipe: () => undefined, resume: () => undefined, cancel: () => undefined };

test.each([
  [undefined, 504],
  [waiting, 408],
])("the cluster's limit is answered for, and counts as no answer of the cluster: %#", async (body, status) => {
  const rig = startRig({ c: [1] }, {});
  const error = new UpstreamError("max-duration", { isSent: true });
  rig.cluster.send = () => ({ response: Promise.reject(error), cancel: () => undefined });
  const answer = await rig.ask({ method: "POST", body: body && { ...body, length: 9 } });
  expect(answer).toMatchObject({
    ...{ status, body: "upstream max stream duration reached", flags: ["UMSDR"] },
    details: "upstream_max_stream_duration_reached",
  });
  expect(counters(rig, "upstream_rq_completed")).toEqual([0, 0]);
});

/** A cluster whose answer has begun; what breaks it off is the test's, or the cancellation of the request. */
function begin(rig: Rig): { readonly sinks: BodySink[] } {
  const sinks: BodySink[] = [];
  const body = { pipe: (sink: BodySink) => void sinks.push(sink), resume: () => undefined, cancel: () => undefined };
  const response: UpstreamResponse = { status: 200, headers: new HeaderList(), body, protocol: "HTTP/1.1" };
  const cancel = (): void => sinks[0]?.abort(new UpstreamError("local-reset", { isSent: true }));
  rig.cluster.send = () => ({ response: Promise.resolve(response), cancel });
  return { sinks };
}

test("the cluster's limit breaks an answer off", async () => {
  const rig = startRig({ c: [1] }, {});
  const { sinks } = begin(rig);
  const problem = rig.ask({}).catch((cause: unknown) => cause);
  await expect.poll(() => sinks).toHaveLength(1);
  sinks[0]?.abort(new UpstreamError("max-duration", { isSent: true }));
  expect(await problem).toBeInstanceOf(ExchangeResetError);
  expect(await problem).toMatchObject({ message: "upstream_max_stream_duration_reached", flags: ["UMSDR"] });
  expect(counters(rig, "rq_reset_after_downstream_response_started")).toEqual([0, 0]);
});

test("who ends a request whose answer has begun is its reason, and not the upstream that ends with it", async () => {
  const rig = startRig({ c: [1] }, { timeout: { seconds: 0, nanos: 30_000_000 } });
  const { sinks } = begin(rig);
  let info: { readonly responseFlags: ReadonlySet<string>; responseCodeDetails: string } | undefined;
  const problem = rig.ask({}, (exchange) => {
    info = exchange.info;
  });
  await expect(problem).rejects.toThrow();
  expect(sinks).toHaveLength(1);
  expect([[...(info?.responseFlags ?? [])], info?.responseCodeDetails]).toEqual([["UT"], "response_timeout"]);
});
