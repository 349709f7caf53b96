/**
 * One stream of the secret discovery service, state of the world or incremental: bytes in, bytes out. A secret is sent when
 * it is first there and when it changes; at most one answer is under way, what changes meanwhile follows in the next.
 */
import { decode, encode, typeUrl } from "@meltemi/protos";
import type { Log } from "../../../../src/lib/log.ts";
import type { EncodedSecret } from "./build-secret.ts";
import type { SecretShelf } from "./secret-shelf.ts";

export type Variant = "sotw" | "delta";

export interface SecretStreamOptions {
  readonly variant: Variant;
  readonly shelf: SecretShelf;
  readonly log: Log;
  /** Sends one message; calls back when it was taken. */
  readonly write: (bytes: Uint8Array, onWritten: () => void) => void;
}

/** A request that nobody could mean; ends the stream with INVALID_ARGUMENT. */
export class SecretRequestError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "SecretRequestError";
  }
}

const secretType = typeUrl("envoy.extensions.transport_sockets.tls.v3.Secret");
/** An Envoy asks for a handful; whatever asks for more is none. */
const maxNames = 1_000;

export class SecretStream {
  readonly #options: SecretStreamOptions;
  /** Held names, with the version that the client has been sent; "" for none. */
  readonly #names = new Map<string, string>();
  readonly #due = new Set<string>();
  readonly #endWatch: () => void;
  #sent = 0;
  #isWriting = false;

  constructor(options: SecretStreamOptions) {
    this.#options = options;
    this.#endWatch = options.shelf.onChange((name) => {
      if (!this.#names.has(name)) return;
      this.#due.add(name);
      this.#flush();
    });
  }

  /** Throws SecretRequestError, or ProtoError for bytes that are no request. */
  handleMessage(bytes: Uint8Array): void {
    if (this.#options.variant === "sotw") this.#handleSotw(bytes);
    else this.#handleDelta(bytes);
    this.#flush();
  }

  close(): void {
    this.#endWatch();
    for (const name of this.#names.keys()) this.#options.shelf.release(name);
    this.#names.clear();
    this.#due.clear();
  }

  #handleSotw(bytes: Uint8Array): void {
    const request = decode("envoy.service.discovery.v3.DiscoveryRequest", bytes);
    checkType(request.type_url);
    const { response_nonce: nonce = "", resource_names: names = [], error_detail: refusal } = request;
    if (refusal !== undefined) this.#reportRefusal(refusal.message);
    // Every request names all that is wanted: one that answers an earlier response will be followed by another.
    if (nonce !== "" && nonce !== String(this.#sent)) return;
    const wanted = new Set(names);
    for (const name of this.#names.keys()) if (!wanted.has(name)) this.#drop(name);
    for (const name of wanted) if (!this.#names.has(name)) this.#add(name, "");
  }

  #handleDelta(bytes: Uint8Array): void {
    const request = decode("envoy.service.discovery.v3.DeltaDiscoveryRequest", bytes);
    checkType(request.type_url);
    if (request.error_detail !== undefined) this.#reportRefusal(request.error_detail.message);
    for (const name of request.resource_names_unsubscribe ?? []) this.#drop(name);
    const held = request.initial_resource_versions ?? {};
    for (const name of request.resource_names_subscribe ?? []) this.#add(name, held[name] ?? "");
  }

  #add(name: string, version: string): void {
    if (!this.#names.has(name)) {
      if (this.#names.size >= maxNames) throw new SecretRequestError(`more than ${maxNames} secrets on one stream`);
      this.#options.shelf.hold(name);
    }
    this.#names.set(name, version);
    this.#due.add(name);
  }

  #drop(name: string): void {
    if (!this.#names.delete(name)) return;
    this.#due.delete(name);
    this.#options.shelf.release(name);
  }

  #flush(): void {
    if (this.#isWriting) return;
    const found: (readonly [string, EncodedSecret])[] = [];
    for (const name of this.#due) {
      const secret = this.#options.shelf.find(name);
      if (secret !== undefined && secret.version !== this.#names.get(name)) found.push([name, secret]);
    }
    // What is not there yet comes with a change.
    this.#due.clear();
    if (found.length === 0) return;
    for (const [name, { version }] of found) this.#names.set(name, version);
    this.#isWriting = true;
    this.#sent += 1;
    const encoded = this.#options.variant === "sotw" ? encodeSotw(found, this.#sent) : encodeDelta(found, this.#sent);
    this.#options.write(encoded, () => {
      this.#isWriting = false;
      this.#flush();
    });
  }

  #reportRefusal(message: string | undefined): void {
    this.#options.log.warn("the proxy refused a secret", { message: message ?? "" });
  }
}

type Found = readonly (readonly [string, EncodedSecret])[];

function encodeSotw(found: Found, nonce: number): Uint8Array {
  return encode("envoy.service.discovery.v3.DiscoveryResponse", {
    type_url: secretType,
    version_info: found.map(([, { version }]) => version).join("-"),
    nonce: String(nonce),
    resources: found.map(([, { resource }]) => resource),
  });
}

function encodeDelta(found: Found, nonce: number): Uint8Array {
  return encode("envoy.service.discovery.v3.DeltaDiscoveryResponse", {
    type_url: secretType,
    nonce: String(nonce),
    resources: found.map(([name, { resource, version }]) => ({ name, version, resource })),
  });
}

function checkType(type: string | undefined): void {
  // Empty on streams of a service that knows one type alone.
  if (type !== undefined && type !== "" && type !== secretType)
    throw new SecretRequestError("this service has secrets alone");
}
