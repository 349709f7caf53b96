/**
 * The verdict of `/inject` on an AdmissionReview: the pod with its proxy, as a JSON patch. Rules of the envelope: Istio,
 * pkg/kube/inject/webhook.go. Whatever cannot be injected is refused, so that no pod comes up without its proxy unnoticed.
 */
import type { Message } from "../lib/message.ts";
import {
  type AdmissionRequest,
  buildAnswer,
  ownField,
  ownText,
  parseReview,
  type ReviewAnswer,
  type Verdict,
} from "./admission-review.ts";
import type { WebhookMetrics } from "./metrics.ts";

/** A pod that somebody creates. */
export interface PodQuestion {
  readonly pod: object;
  /** Where it is created: what the API server says, whatever the pod's own metadata claims. */
  readonly namespace: string;
  /** What follows /inject/ in the path of the webhook. */
  readonly path: string;
}

/** What becomes of it. */
export type PodAnswer =
  | { readonly kind: "skipped"; readonly reason: string }
  | { readonly kind: "injected"; readonly patch: readonly object[]; readonly messages: readonly Message[] }
  | { readonly kind: "refused"; readonly messages: readonly Message[] };

export interface InjectReviewOptions {
  readonly path: string;
  readonly inject: (question: PodQuestion) => PodAnswer;
  readonly metrics: WebhookMetrics;
}

/** Kubernetes' own forms end long before this; code that walks through a pod must not be sent any deeper. */
const deepestPod = 64;
/** Of all containers together. A node runs 110 pods. */
const mostContainers = 500;
/** Most errors and warnings that are told, and most characters of each. */
const mostTold = 16;
const [longestText, longestWarning] = [400, 256];

/** Answers a review of unknown content. Never throws for any content that JSON can hold, as long as `inject` does not. */
export function injectReview(raw: unknown, options: InjectReviewOptions): ReviewAnswer {
  const parsed = parseReview(raw);
  if (!parsed.ok) {
    const { apiVersion, uid, text } = parsed;
    options.metrics.count("sidecar_injection_failure_total");
    return { httpStatus: 400, review: buildAnswer(apiVersion, uid, refuse(text)), refusal: text };
  }
  const { apiVersion, request } = parsed;
  const verdict = judge(request, options);
  options.metrics.count(verdict.allowed ? "sidecar_injection_success_total" : "sidecar_injection_failure_total");
  const review = buildAnswer(apiVersion, request.uid, verdict);
  return { httpStatus: 200, review, refusal: verdict.allowed ? undefined : verdict.message };
}

const allow: Verdict = { allowed: true, warnings: [] };
const refuse = (message: string): Verdict => ({ allowed: false, message, causes: [], warnings: [] });

function judge(request: AdmissionRequest, { path, inject, metrics }: InjectReviewOptions): Verdict {
  if (!isNewPod(request)) {
    metrics.count("sidecar_injection_skip_total");
    return allow;
  }
  const { object: pod, isDryRun } = request;
  const suffix = isDryRun ? " (dry run)" : "";
  if (typeof pod !== "object" || pod === null || Array.isArray(pod))
    return refuse(`cannot inject: the request has no pod${suffix}`);
  const name = namePod(request, pod);
  const excess = findExcess(pod);
  if (excess !== undefined) return refuse(`cannot inject ${name}: ${excess}${suffix}`);
  const answer = inject({ pod, namespace: findNamespace(request, pod), path });
  switch (answer.kind) {
    case "skipped":
      metrics.count("sidecar_injection_skip_total");
      return allow;
    case "injected":
      return { allowed: true, warnings: formatWarnings(answer.messages), patch: answer.patch };
    case "refused":
      return formatRefusal(name, answer.messages, suffix);
  }
}

/** What else a webhook is asked about, by a rule that somebody wrote too wide, is none of its business. */
function isNewPod({ operation, kind, resource, object }: AdmissionRequest): boolean {
  const stated = kind.kind || ownText(object, "kind") || "Pod";
  const isPod = stated === "Pod" && kind.group === "" && (resource.resource === "" || resource.resource === "pods");
  return isPod && (operation === "CREATE" || operation === "");
}

const findNamespace = ({ namespace }: AdmissionRequest, pod: object): string =>
  namespace || ownText(ownField(pod, "metadata"), "namespace");

/** "Pod shop/reviews"; of a pod without a name only the beginning is known. */
function namePod(request: AdmissionRequest, pod: object): string {
  const metadata = ownField(pod, "metadata");
  const generated = ownText(metadata, "generateName");
  const name = request.name || ownText(metadata, "name") || (generated === "" ? "" : `${generated}*`);
  return `Pod ${findNamespace(request, pod).slice(0, 100)}/${name.slice(0, 260)}`;
}

/** Why a pod is more than anybody needs, before anything is done with it. */
function findExcess(pod: object): string | undefined {
  if (isDeeperThan(pod, deepestPod)) return `it is nested deeper than ${deepestPod} levels`;
  const spec = ownField(pod, "spec");
  const lists = ["containers", "initContainers", "ephemeralContainers"].map((name) => ownField(spec, name));
  const count = lists.reduce<number>((sum, list) => sum + (Array.isArray(list) ? list.length : 0), 0);
  return count > mostContainers ? `spec.containers: ${count} containers are more than ${mostContainers}` : undefined;
}

/** Level by level and not by recursion, which depth itself would break. */
function isDeeperThan(value: object, levels: number): boolean {
  let level: readonly object[] = [value];
  for (let depth = 0; depth < levels; depth++) {
    level = level.flatMap((each) => Object.values(each).filter(isNested));
    if (level.length === 0) return false;
  }
  return true;
}

const isNested = (value: unknown): value is object => typeof value === "object" && value !== null;

function formatRefusal(name: string, messages: readonly Message[], suffix: string): Verdict {
  const errors = messages.filter(({ level }) => level === "error");
  const causes = errors.slice(0, mostTold).map(({ path, text }) => ({
    field: path.slice(0, longestText),
    message: shorten(text, longestText),
  }));
  const texts = causes.map(({ field, message }) => (field === "" ? message : `${field}: ${message}`));
  const more = errors.length > mostTold ? `; and ${errors.length - mostTold} more` : "";
  const message = `cannot inject ${name}: ${texts.join("; ")}${more}${suffix}`;
  return { allowed: false, message, causes, warnings: formatWarnings(messages) };
}

function formatWarnings(messages: readonly Message[]): readonly string[] {
  const texts = messages
    .filter(({ level }) => level === "warning")
    .map(({ path, text }) => shorten(path === "" ? text : `${path}: ${text}`, longestWarning));
  return [...new Set(texts)].slice(0, mostTold);
}

const shorten = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length - 1)}…` : text;
