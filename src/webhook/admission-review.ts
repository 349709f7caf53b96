/**
 * The envelope in which an API server asks a webhook, and the answer to it: AdmissionReview of admission.k8s.io, v1 and
 * v1beta1, which are the same in all that is used here. Everything in a review may come from anybody.
 */
import { Buffer } from "node:buffer";

/** A field of an object of unknown content; own fields only, so that "__proto__" names nothing. */
export function ownField(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

/** The same as a text; "" where there is none. */
export function ownText(value: unknown, name: string): string {
  const found = ownField(value, name);
  return typeof found === "string" ? found : "";
}

/** What is asked. Objects are raw. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly operation: string;
  readonly kind: GroupKind;
  readonly resource: ResourceName;
  readonly name: string;
  readonly namespace: string;
  readonly isDryRun: boolean;
  /** Undefined where there is none, as for DELETE. */
  readonly object: unknown;
  readonly oldObject: unknown;
}

export interface GroupKind {
  readonly group: string;
  readonly kind: string;
}

export interface ResourceName {
  readonly group: string;
  readonly version: string;
  /** Plural, such as "virtualservices". */
  readonly resource: string;
}

export type ParsedReview =
  | { readonly ok: true; readonly apiVersion: string; readonly request: AdmissionRequest }
  | { readonly ok: false; readonly apiVersion: string; readonly uid: string; readonly text: string };

const apiVersions: ReadonlySet<string> = new Set(["admission.k8s.io/v1", "admission.k8s.io/v1beta1"]);
/** An API server's own are 36 characters; what is repeated to the asker is no longer than this. */
const longestUid = 256;

/** Reads the envelope. Says in words for people what is wrong with one that is no question. Never throws. */
export function parseReview(raw: unknown): ParsedReview {
  const stated = ownText(raw, "apiVersion");
  const apiVersion = apiVersions.has(stated) ? stated : "admission.k8s.io/v1";
  const request = ownField(raw, "request");
  const uid = ownText(request, "uid").slice(0, longestUid);
  const refuse = (text: string): ParsedReview => ({ ok: false, apiVersion, uid, text });
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return refuse("the body is no AdmissionReview");
  if (ownText(raw, "kind") !== "AdmissionReview" || !apiVersions.has(stated))
    return refuse("the body is no AdmissionReview of admission.k8s.io/v1 or admission.k8s.io/v1beta1");
  if (typeof request !== "object" || request === null || Array.isArray(request))
    return refuse("the AdmissionReview has no request");
  return { ok: true, apiVersion, request: readRequest(request, uid) };
}

function readRequest(request: object, uid: string): AdmissionRequest {
  const [kind, resource] = [ownField(request, "kind"), ownField(request, "resource")];
  return {
    uid,
    operation: ownText(request, "operation"),
    kind: { group: ownText(kind, "group"), kind: ownText(kind, "kind") },
    resource: {
      group: ownText(resource, "group"),
      version: ownText(resource, "version"),
      resource: ownText(resource, "resource"),
    },
    name: ownText(request, "name"),
    namespace: ownText(request, "namespace"),
    isDryRun: ownField(request, "dryRun") === true,
    object: ownField(request, "object") ?? undefined,
    oldObject: ownField(request, "oldObject") ?? undefined,
  };
}

/** One reason of a refusal, for programs. */
export interface Cause {
  readonly field: string;
  readonly message: string;
}

/** What a webhook says to a request. */
export type Verdict =
  | { readonly allowed: true; readonly warnings: readonly string[]; readonly patch?: readonly object[] }
  | {
      readonly allowed: false;
      readonly message: string;
      readonly causes: readonly Cause[];
      readonly warnings: readonly string[];
    };

/** The answer as it is sent. */
export interface AdmissionReview {
  readonly apiVersion: string;
  readonly kind: "AdmissionReview";
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly status?: object;
    readonly warnings?: readonly string[];
    readonly patchType?: "JSONPatch";
    /** Base64 of JSON. */
    readonly patch?: string;
  };
}

/** An answer with what there is to count and to log. */
export interface ReviewAnswer {
  /** 400 where the body asks nothing that can be answered. */
  readonly httpStatus: 200 | 400;
  readonly review: AdmissionReview;
  /** Why the request was refused, for the log; undefined where it was allowed. */
  readonly refusal: string | undefined;
}

/** The answer to the request with this uid, in the version of the review that asked. */
export function buildAnswer(apiVersion: string, uid: string, verdict: Verdict): AdmissionReview {
  const warnings = verdict.warnings.length === 0 ? {} : { warnings: verdict.warnings };
  const response = verdict.allowed
    ? { uid, allowed: true, ...buildChange(verdict.patch ?? []), ...warnings }
    : { uid, allowed: false, status: buildStatus(verdict.message, verdict.causes), ...warnings };
  return { apiVersion, kind: "AdmissionReview", response };
}

/** Nothing where nothing changes: an API server takes no empty patch. */
function buildChange(
  patch: readonly object[],
): { readonly patchType: "JSONPatch"; readonly patch: string } | undefined {
  if (patch.length === 0) return undefined;
  return { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") };
}

/** 400 is what the API server makes of istiod's refusals, which have no code. */
function buildStatus(message: string, causes: readonly Cause[]): object {
  const details = causes.length === 0 ? {} : { details: { causes: causes.map(buildCause) } };
  return { status: "Failure", code: 400, reason: "BadRequest", message, ...details };
}

const buildCause = ({ field, message }: Cause): object => ({ reason: "FieldValueInvalid", field, message });
