import { describe, expect, it } from "vitest";
import { sampleHost } from "../../test/sample-entry.ts";
import { type BodySource, bodyOf, collect } from "../http/body.ts";
import { HeaderList } from "../http/header-list.ts";
import { UpstreamError, type UpstreamResponse } from "../upstream/types.ts";
import { AttemptSpan } from "./attempt-span.ts";
import type { Span } from "./types.ts";

function create(retries = 0): { readonly attempt: AttemptSpan; readonly tags: Record<string, string> } {
  const tags: Record<string, string> = {};
  const span: Partial<Span> = {
    setTag: (name, value) => {
      tags[name] = value;
    },
    finish: () => undefined,
  };
  const cluster = { name: "a", wire: { alt_stat_name: "alt" } };
  return { attempt: new AttemptSpan(span as Span, { cluster, host: sampleHost, retries }), tags };
}

function answer(status: number, body?: BodySource): UpstreamResponse {
  return { status, headers: new HeaderList(), body, protocol: "HTTP/2" };
}

const common = {
  component: "proxy",
  upstream_address: "127.0.0.1:19903",
  "peer.address": "127.0.0.1:19903",
  upstream_cluster: "a",
  "upstream_cluster.name": "alt",
};
const unanswered = { ...common, error: "true", "http.protocol": "-", "http.status_code": "0" };

describe("AttemptSpan", () => {
  it.each([
    [200, {}],
    [404, {}],
    [503, { error: "true" }],
  ])("tells of an answer: %d", (status, more) => {
    const { attempt, tags } = create();
    attempt.watch(answer(status));
    attempt.finish();
    const own = { "http.protocol": "HTTP/2", "http.status_code": String(status), response_flags: "-" };
    expect(tags).toEqual({ ...common, ...own, ...more });
  });

  it("tells why there is no answer, and how many attempts were before", () => {
    const { attempt, tags } = create(2);
    attempt.fail(new UpstreamError("connection-failure"));
    attempt.finish();
    const own = { "error.reason": "remote connection failure", response_flags: "UF", "retry.count": "2" };
    expect(tags).toEqual({ ...unanswered, ...own });
  });

  it("tells of one that was given up", () => {
    const { attempt, tags } = create();
    attempt.timeOut();
    attempt.cancel();
    attempt.finish();
    expect(tags).toEqual({ ...unanswered, canceled: "true", response_flags: "UT" });
  });

  it("reads the trailers of an answer", async () => {
    const { attempt, tags } = create();
    const trailers = new HeaderList(["grpc-status", "13", "grpc-message", "no"]);
    const { body } = attempt.watch(answer(200, bodyOf(Buffer.from("x"), trailers)));
    const collected = body && (await collect(body, 10));
    expect(collected?.trailers).toBe(trailers);
    expect(tags).toMatchObject({ "grpc.status_code": "13", "grpc.message": "no", error: "true" });
  });

  it("tells of an answer that breaks off", async () => {
    const { attempt, tags } = create();
    const cause = new UpstreamError("connection-termination");
    const broken: BodySource = {
      pipe: (sink) => sink.abort(cause),
      resume: () => undefined,
      cancel: () => undefined,
    };
    const { body } = attempt.watch(answer(200, broken));
    await expect(body && collect(body, 10)).rejects.toBe(cause);
    attempt.finish();
    expect(tags).toMatchObject({ error: "true", "error.reason": "connection termination", response_flags: "UC" });
  });
});
