/** An API server as far as reviews and look-ups go, without a network: tests say what it answers. */
import { KubeApiError, type KubeClient, type KubeRequest } from "../../src/kube/kube-client.ts";

/** `answers` says what a request is answered with, a number for an error. */
export function createReviewer(answers: (request: KubeRequest) => unknown): {
  readonly client: KubeClient;
  readonly asked: readonly KubeRequest[];
} {
  const asked: KubeRequest[] = [];
  const client: KubeClient = {
    server: "",
    async request(request) {
      asked.push(request);
      const answer = answers(request);
      if (typeof answer === "number") throw new KubeApiError(answer, "refused");
      return answer;
    },
    stream: () => Promise.reject(new Error("no streams")),
    close: () => undefined,
  };
  return { client, asked };
}

/** Text in the form of a token; `exp` in seconds since the epoch. */
export const createToken = (claims: object): string =>
  ["{}", JSON.stringify(claims), "signature"].map((part) => Buffer.from(part).toString("base64url")).join(".");

export interface ReviewedPod {
  readonly name: string;
  readonly uid: string;
}

/** A TokenReview that finds a token good. */
export const goodReview = (account: string, pod?: ReviewedPod) => ({
  status: {
    authenticated: true,
    audiences: ["istio-ca"],
    user: {
      username: `system:serviceaccount:${account.replace("/", ":")}`,
      groups: ["system:serviceaccounts", "system:authenticated"],
      ...(pod === undefined
        ? {}
        : {
            extra: {
              "authentication.kubernetes.io/pod-name": [pod.name],
              "authentication.kubernetes.io/pod-uid": [pod.uid],
            },
          }),
    },
  },
});
