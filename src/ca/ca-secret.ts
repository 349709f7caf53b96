/** One Secret of the control plane's namespace, read, made and replaced with nobody's change lost. */
import { Buffer } from "node:buffer";
import { KubeApiError, type KubeClient } from "../kube/kube-client.ts";

export interface SecretPlace {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
}

export interface StoredSecret {
  readonly texts: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  /** Type and metadata as they were read, to be written back. */
  readonly type: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

type Entries = Iterable<readonly [string, string]>;

const withSignal = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { signal });
const listPath = ({ namespace }: SecretPlace): string => `/api/v1/namespaces/${namespace}/secrets`;
const pathOf = (place: SecretPlace): string => `${listPath(place)}/${place.name}`;

/** Undefined where there is no such Secret. */
export async function readSecret(place: SecretPlace, signal?: AbortSignal): Promise<StoredSecret | undefined> {
  try {
    return parseSecret(await place.client.request({ path: pathOf(place), ...withSignal(signal) }));
  } catch (cause: unknown) {
    if (cause instanceof KubeApiError && cause.status === 404) return undefined;
    throw cause;
  }
}

/** False where there is one of that name already. */
export async function createSecret(
  place: SecretPlace,
  { type, texts }: { readonly type: string; readonly texts: Entries },
  signal?: AbortSignal,
): Promise<boolean> {
  const { namespace, name } = place;
  const body = { apiVersion: "v1", kind: "Secret", type, metadata: { name, namespace }, data: encode(texts) };
  return await isTaken(place.client.request({ method: "POST", path: listPath(place), body, ...withSignal(signal) }));
}

/** Puts other texts and annotations in the place of what was read; false where it is no longer what was read. */
export async function replaceSecret(
  place: SecretPlace,
  read: StoredSecret,
  {
    texts,
    annotations,
    signal,
  }: { readonly texts: Entries; readonly annotations: Entries; readonly signal: AbortSignal },
): Promise<boolean> {
  // The resourceVersion among the metadata makes the API server refuse what is written over another's change.
  const metadata = { ...read.metadata, annotations: Object.fromEntries(annotations) };
  const body = { apiVersion: "v1", kind: "Secret", type: read.type, metadata, data: encode(texts) };
  return await isTaken(place.client.request({ method: "PUT", path: pathOf(place), body, signal }));
}

async function isTaken(request: Promise<unknown>): Promise<boolean> {
  try {
    await request;
    return true;
  } catch (cause: unknown) {
    if (cause instanceof KubeApiError && cause.status === 409) return false;
    throw cause;
  }
}

function parseSecret(raw: unknown): StoredSecret {
  const secret = asRecord(raw);
  const metadata = asRecord(secret["metadata"]);
  const type = secret["type"];
  const data = listTexts(secret["data"]).map(([key, value]) => [key, Buffer.from(value, "base64").toString()] as const);
  return {
    texts: new Map(data),
    annotations: new Map(listTexts(metadata["annotations"])),
    type: typeof type === "string" ? type : "",
    metadata,
  };
}

const encode = (texts: Entries): Readonly<Record<string, string>> =>
  Object.fromEntries([...texts].map(([key, text]) => [key, Buffer.from(text).toString("base64")]));

const listTexts = (value: unknown): readonly (readonly [string, string])[] =>
  Object.entries(asRecord(value)).filter((entry): entry is [string, string] => typeof entry[1] === "string");

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};
}
