/**
 * What an object's status says, in the form of Istio's (meta/v1alpha1 IstioStatus, analysis/v1alpha1
 * AnalysisMessageBase). Pure.
 */
import { formatInstant } from "../lib/clock.ts";
import type { Message } from "../lib/message.ts";
import { type RawRecord, readList, readNumber, readRecord, readText } from "./raw.ts";

/** On how many proxies an object is live. */
export interface StatusDistribution {
  readonly using: number;
  readonly live: number;
  readonly refused: number;
  /** What a proxy said that refused it; "" where none did. */
  readonly refusal: string;
  /** True where there may be more proxies than are counted. */
  readonly isAtLeast?: boolean;
  /** True where a replica has not yet said how many of its proxies use the object. */
  readonly isAwaited?: boolean;
}

export interface ValidationMessage {
  readonly type: { readonly name: string; readonly code: string };
  readonly level: "ERROR" | "WARNING" | "INFO";
  /** Field and text. Istio's own CRDs have no such field and drop it. */
  readonly message: string;
}

/** All that we say of one object. */
export interface StatusContent {
  /** `metadata.generation` of what was looked at; undefined where the object has none. */
  readonly observedGeneration: number | undefined;
  readonly isReconciled: boolean;
  /** One word. */
  readonly reason: "Live" | "Unused" | "Distributing" | "Refused" | "ValidationFailed";
  readonly message: string;
  readonly validationMessages: readonly ValidationMessage[];
}

/** A status as it is stored. */
export interface StoredStatus {
  /** Undefined where it has no condition of ours. */
  readonly condition: { readonly status: string; readonly reason: string; readonly message: string } | undefined;
  readonly lastTransitionTime: string;
  readonly observedGeneration: number | undefined;
  readonly validationMessages: readonly (Omit<ValidationMessage, "message" | "level"> & {
    readonly level: string;
    /** Undefined where the CRD does not keep it. */
    readonly message: string | undefined;
  })[];
  /** Conditions of others, which stay. */
  readonly others: readonly RawRecord[];
}

const levelNames = { error: "ERROR", warning: "WARNING", info: "INFO" } as const;
const conditionType = "Reconciled";
const maxMessages = 50;
const maxTextLength = 1000;
const maxRefusalLength = 300;
const unused: StatusDistribution = { using: 0, live: 0, refused: 0, refusal: "" };

/** The status of an object with all messages about it; `generation` is the one that they are about. */
export function deriveStatus(
  generation: number | undefined,
  messages: readonly Message[],
  distribution: StatusDistribution = unused,
): StatusContent {
  const { using, live, refused, refusal, isAtLeast = false, isAwaited = false } = distribution;
  const common = { observedGeneration: generation, validationMessages: listValidationMessages(messages) };
  const count = `${isAtLeast ? "At least " : ""}${live}/${using} proxies up to date`;
  const errors = messages.filter(({ level }) => level === "error");
  if (errors.length > 0) {
    const texts = errors.map(formatFinding).join("; ");
    const kept = using > 0 ? " The last good form stays." : "";
    return { ...common, isReconciled: false, reason: "ValidationFailed", message: `${bound(texts)}.${kept}` };
  }
  if (refused > 0) {
    const said = bound(refusal, maxRefusalLength);
    return { ...common, isReconciled: false, reason: "Refused", message: `${count}; ${refused} refused it: ${said}` };
  }
  if (live < using) {
    const message = `${count}; ${using - live} did not take it yet.`;
    return { ...common, isReconciled: false, reason: "Distributing", message };
  }
  if (isAwaited) {
    const message = `${count}; another replica does not know it yet.`;
    return { ...common, isReconciled: false, reason: "Distributing", message };
  }
  if (using > 0) return { ...common, isReconciled: true, reason: "Live", message: `${count}.` };
  return { ...common, isReconciled: true, reason: "Unused", message: `${count}; no connected proxy uses it.` };
}

export function parseStatus(raw: unknown): StoredStatus {
  const status = readRecord(raw);
  const conditions = readList(status["conditions"]).map(readRecord);
  const ours = conditions.find((condition) => condition["type"] === conditionType);
  const observed = readNumber(status["observedGeneration"], -1);
  return {
    condition: ours && {
      status: readText(ours["status"]),
      reason: readText(ours["reason"]),
      message: readText(ours["message"]),
    },
    lastTransitionTime: readText(ours?.["lastTransitionTime"]),
    observedGeneration: observed === -1 ? undefined : observed,
    validationMessages: readList(status["validationMessages"]).map((each) => {
      const { type, level, message } = readRecord(each);
      const { name, code } = readRecord(type);
      return {
        type: { name: readText(name), code: readText(code) },
        level: readText(level),
        message: typeof message === "string" ? message : undefined,
      };
    }),
    others: conditions.filter((condition) => condition !== ours),
  };
}

/** True where the stored status says all of `content`, as far as its CRD can hold it. */
export function isStored({ condition, observedGeneration, validationMessages }: StoredStatus, content: StatusContent) {
  return (
    condition?.status === formatStatus(content) &&
    condition.reason === content.reason &&
    condition.message === content.message &&
    observedGeneration === content.observedGeneration &&
    hasMessages(validationMessages, content.validationMessages)
  );
}

/**
 * True where somebody waits for the change: all but counts that move as proxies come and go, and a proxy that has just
 * come and not taken everything yet.
 */
export function isUrgent({ condition, ...stored }: StoredStatus, content: StatusContent): boolean {
  if (condition === undefined || stored.observedGeneration !== content.observedGeneration) return true;
  if (!hasMessages(stored.validationMessages, content.validationMessages)) return true;
  const isLasting = content.reason === "ValidationFailed" || content.reason === "Refused";
  const wasLasting = condition.reason === "ValidationFailed" || condition.reason === "Refused";
  if (isLasting || wasLasting) return condition.reason !== content.reason || content.reason === "ValidationFailed";
  return content.isReconciled && condition.status !== "True";
}

/** The part of the object that a merge patch of its status carries: conditions of others stay. */
export function buildStatusPatch(content: StatusContent, stored: StoredStatus, nowMs: number): object {
  const status = formatStatus(content);
  const isTransition = stored.condition?.status !== status || stored.lastTransitionTime === "";
  const generation = content.observedGeneration === undefined ? {} : { observedGeneration: content.observedGeneration };
  const condition = {
    type: conditionType,
    status,
    reason: content.reason,
    message: content.message,
    // Whole seconds, as everywhere in Kubernetes.
    lastTransitionTime: isTransition ? formatInstant(nowMs).replace(/\.\d+Z$/, "Z") : stored.lastTransitionTime,
    ...generation,
  };
  return {
    ...generation,
    conditions: [...stored.others, condition],
    // Null takes the field away.
    validationMessages: content.validationMessages.length === 0 ? null : content.validationMessages,
  };
}

function formatStatus({ isReconciled }: StatusContent): "True" | "False" {
  return isReconciled ? "True" : "False";
}

function hasMessages(stored: StoredStatus["validationMessages"], wanted: StatusContent["validationMessages"]): boolean {
  return (
    stored.length === wanted.length &&
    wanted.every(({ type, level, message }, index) => {
      const known = stored[index];
      const isSame = known?.type.code === type.code && known.type.name === type.name && known.level === level;
      return isSame && (known.message === undefined || known.message === message);
    })
  );
}

/** The worst first, so that they stay where there are too many. */
function listValidationMessages(messages: readonly Message[]): readonly ValidationMessage[] {
  const levels = ["error", "warning", "info"] as const;
  return levels
    .flatMap((level) => messages.filter((message) => message.level === level))
    .slice(0, maxMessages)
    .map((message) => ({
      type: { name: formatName(message.code), code: message.code },
      level: levelNames[message.level],
      message: bound(formatFinding(message)),
    }));
}

function formatFinding({ path, text }: Message): string {
  return path === "" ? text : `${path}: ${text}`;
}

/** "unknown-host" as "UnknownHost". */
function formatName(code: string): string {
  return code.replace(/(?:^|[-_])([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function bound(text: string, maxLength = maxTextLength): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 2)} …`;
}
