import { describe, expect, test } from "vitest";
import type { Message } from "../lib/message.ts";
import { injectReview, type PodAnswer, type PodQuestion } from "./inject-review.ts";

interface Asking {
  readonly path?: string;
  readonly answer?: PodAnswer;
}

function ask(raw: unknown, { path = "", answer = { kind: "skipped", reason: "none" } }: Asking = {}) {
  const questions: PodQuestion[] = [];
  const counted: string[] = [];
  const { httpStatus, review } = injectReview(raw, {
    path,
    inject(question) {
      questions.push(question);
      return answer;
    },
    metrics: { count: (name) => void counted.push(name) },
  });
  return { httpStatus, review, questions, counted };
}

const pod = { metadata: { generateName: "reviews-", labels: {} }, spec: { containers: [{ name: "reviews" }] } };
const request = {
  uid: "u1",
  operation: "CREATE",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  namespace: "shop",
  object: pod,
};
const review = (changes: object = {}, apiVersion = "admission.k8s.io/v1"): object => ({
  apiVersion,
  kind: "AdmissionReview",
  request: { ...request, ...changes },
});
const message = (level: Message["level"], path: string, text: string): Message => ({
  level,
  code: "test",
  object: { kind: "Pod", namespace: "shop", name: "reviews" },
  path,
  text,
});

describe("a pod that is injected", () => {
  const patch = [{ op: "add", path: "/spec/initContainers", value: [] }];

  test.each(["admission.k8s.io/v1", "admission.k8s.io/v1beta1"])("is answered in %s with its patch", (apiVersion) => {
    const {
      httpStatus,
      review: answered,
      questions,
      counted,
    } = ask(review({}, apiVersion), {
      path: "cluster/east",
      answer: { kind: "injected", patch, messages: [message("warning", "metadata.annotations", "is old")] },
    });
    expect(httpStatus).toBe(200);
    expect(answered).toEqual({
      apiVersion,
      kind: "AdmissionReview",
      response: {
        uid: "u1",
        allowed: true,
        patchType: "JSONPatch",
        patch: Buffer.from(JSON.stringify(patch)).toString("base64"),
        warnings: ["metadata.annotations: is old"],
      },
    });
    expect(questions).toEqual([{ pod, namespace: "shop", path: "cluster/east" }]);
    expect(counted).toEqual(["sidecar_injection_success_total"]);
  });

  test("a second time is allowed without a patch, which an API server would refuse empty", () => {
    const { review: answered } = ask(review(), { answer: { kind: "injected", patch: [], messages: [] } });
    expect(answered.response).toEqual({ uid: "u1", allowed: true });
  });

  test("is of the namespace that the API server states, not of the one it claims", () => {
    const claiming = { ...pod, metadata: { ...pod.metadata, namespace: "kube-system" } };
    expect(ask(review({ object: claiming })).questions[0]?.namespace).toBe("shop");
    expect(ask(review({ object: claiming, namespace: "" })).questions[0]?.namespace).toBe("kube-system");
  });
});

describe("what is left alone", () => {
  test("a pod that is skipped is allowed and counted", () => {
    const { review: answered, counted } = ask(review());
    expect(answered.response).toEqual({ uid: "u1", allowed: true });
    expect(counted).toEqual(["sidecar_injection_skip_total", "sidecar_injection_success_total"]);
  });

  test.each([
    ["an update", { operation: "UPDATE" }],
    [
      "a Deployment",
      { kind: { group: "apps", kind: "Deployment" }, resource: { group: "apps", resource: "deployments" } },
    ],
    ["a Pod of another group", { kind: { group: "example.com", kind: "Pod" } }],
    ["another resource", { resource: { group: "", resource: "pods/ephemeralcontainers" } }],
  ])("%s is allowed, and nobody is asked", (_case, changes) => {
    const { review: answered, questions } = ask(review(changes), {
      answer: { kind: "injected", patch: [{ op: "remove", path: "/spec" }], messages: [] },
    });
    expect(answered.response).toEqual({ uid: "u1", allowed: true });
    expect(questions).toEqual([]);
  });
});

describe("what is refused", () => {
  test("names the pod, each field and the reason", () => {
    const messages = [
      message("error", 'metadata.annotations["sidecar.istio.io/proxyCPU"]', "is no quantity"),
      message("error", "spec.containers[0].name", "is taken"),
      message("warning", "metadata.labels", "is odd"),
    ];
    const { review: answered, counted } = ask(review(), { answer: { kind: "refused", messages } });
    expect(answered.response).toEqual({
      uid: "u1",
      allowed: false,
      status: {
        status: "Failure",
        code: 400,
        reason: "BadRequest",
        message:
          'cannot inject Pod shop/reviews-*: metadata.annotations["sidecar.istio.io/proxyCPU"]: is no quantity; spec.containers[0].name: is taken',
        details: {
          causes: [
            {
              reason: "FieldValueInvalid",
              field: 'metadata.annotations["sidecar.istio.io/proxyCPU"]',
              message: "is no quantity",
            },
            { reason: "FieldValueInvalid", field: "spec.containers[0].name", message: "is taken" },
          ],
        },
      },
      warnings: ["metadata.labels: is odd"],
    });
    expect(counted).toEqual(["sidecar_injection_failure_total"]);
  });

  test("is told in bounded words", () => {
    const messages = Array.from({ length: 1_000 }, (_, index) => message("error", `a${index}`, "x".repeat(10_000)));
    const { review: answered } = ask(review({ dryRun: true }), { answer: { kind: "refused", messages } });
    expect(JSON.stringify(answered).length).toBeLessThan(20_000);
    expect(answered.response.status).toMatchObject({ message: expect.stringContaining("; and 984 more (dry run)") });
  });

  test.each([
    ["no pod", { object: undefined }, "the request has no pod"],
    ["a list for a pod", { object: [] }, "the request has no pod"],
    ["too many containers", { object: { spec: { containers: Array(501).fill({ name: "a" }) } } }, "501 containers"],
  ])("%s is refused before anything is done with it", (_case, changes, text) => {
    const { httpStatus, review: answered, questions } = ask(review(changes));
    expect(httpStatus).toBe(200);
    expect(answered.response).toMatchObject({ allowed: false, status: { message: expect.stringContaining(text) } });
    expect(questions).toEqual([]);
  });

  test.each([
    ["null", null],
    ["a list", []],
    ["another kind", { kind: "Pod", apiVersion: "v1" }],
  ])("%s is no review", (_case, raw) => {
    const { httpStatus, counted } = ask(raw);
    expect(httpStatus).toBe(400);
    expect(counted).toEqual(["sidecar_injection_failure_total"]);
  });
});
