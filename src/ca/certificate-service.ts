/**
 * istio.v1.auth.IstioCertificateService/CreateCertificate: a workload that has proven who it is gets its key certified
 * (Istio: security/pkg/server/ca/server.go). Callers are told little; why somebody was refused stands in our log.
 */
import { availableParallelism } from "node:os";
import { decode, encode, structToJson } from "@meltemi/protos";
import type { Authentication, Caller, PeerCredentials } from "../lib/caller.ts";
import { type Clock, formatInstant } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { RateLimit } from "../lib/rate-limit.ts";
import { formatSpiffeIdentity, type SpiffeIdentity } from "../lib/spiffe.ts";
import { CallerLimits } from "./caller-limits.ts";
import type { CertificateSigner, SignedCertificate } from "./certificate-signer.ts";
import { LifetimeError, type LifetimeLimits, parseLifetime } from "./lifetime.ts";
import type { CertificateMetrics } from "./metrics.ts";
import type { NodeAuthorization } from "./node-authorization.ts";
import { SignQueue } from "./sign-queue.ts";
import { parseSigningRequest, SigningRequestError } from "./signing-request.ts";

export interface CertificateServiceOptions {
  /** Tells who calls; never rejects. */
  readonly authenticate: (
    credentials: PeerCredentials,
  ) => Promise<Exclude<Authentication, { readonly kind: "absent" }>>;
  readonly signer: CertificateSigner;
  readonly lifetimes: LifetimeLimits;
  /** Undefined where nobody may ask for certificates of others. */
  readonly authorizeNode: NodeAuthorization | undefined;
  readonly metrics: CertificateMetrics;
  readonly clock: Clock;
  readonly log: Log;
}

/** One call, as the transport hands it over. */
export interface CertificateCall {
  readonly credentials: PeerCredentials;
  /** Remote address with port. */
  readonly peer: string;
  readonly signal: AbortSignal;
}

/** A gRPC status. */
export interface Refusal {
  readonly code: "UNAUTHENTICATED" | "INVALID_ARGUMENT" | "RESOURCE_EXHAUSTED" | "INTERNAL";
  readonly details: string;
}

export const createCertificatePath = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

export interface CertificateService {
  /** Answers an encoded IstioCertificateRequest with an encoded IstioCertificateResponse. */
  createCertificate(request: Uint8Array, call: CertificateCall): Promise<Uint8Array | Refusal>;
}

export function createCertificateService(options: CertificateServiceOptions): CertificateService {
  return new Service(options);
}

/** What a request holds. */
interface WantedCertificate {
  readonly csr: string;
  /** Seconds; as text where it fits no number. */
  readonly lifetime: number | string | undefined;
  readonly certSigner: string;
  /** "" for the caller's own identity. */
  readonly impersonated: string;
}

/** More at once only wait in the platform. */
const maxRunning = 16 * availableParallelism();
/** At the least 200 are signed each second, so that the last one waits as long as clients do: some seconds. */
const maxWaiting = 1000;

class Service implements CertificateService {
  readonly #options: CertificateServiceOptions;
  readonly #log: Log;
  readonly #limits: CallerLimits;
  readonly #refusalLog: RateLimit;
  readonly #queue = new SignQueue({ maxRunning, maxWaiting });

  constructor(options: CertificateServiceOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#log = log.child({ component: "serverca" });
    this.#limits = new CallerLimits(clock);
    this.#refusalLog = new RateLimit({ clock, perSecond: 1, burst: 10, maxWaitMs: 0 });
  }

  async createCertificate(request: Uint8Array, call: CertificateCall): Promise<Uint8Array | Refusal> {
    const { authenticate, metrics } = this.#options;
    const { peer } = call;
    metrics.count("citadel_server_csr_count");
    // Nothing of a request is read before it is known whose it is.
    const answer = await authenticate(call.credentials);
    if (answer.kind === "refused") {
      return this.#refuseCaller("request authenticate failure", { peer, reason: answer.reason });
    }
    const { caller } = answer;
    const wanted = readRequest(request);
    if (wanted === undefined) return this.#refuseRequest("the request is malformed", { peer, caller });
    if (!this.#limits.admit(caller, peer, wanted.impersonated)) {
      this.#report("a caller asks for certificates too often", { peer, caller: nameOf(caller) });
      return { code: "RESOURCE_EXHAUSTED", details: "too many certificates are asked for" };
    }
    const identity = await this.#findIdentity(caller, wanted, peer);
    return "code" in identity ? identity : this.#issue(wanted, { caller, identity, call });
  }

  /** Whom the certificate is to name. */
  async #findIdentity(
    caller: Caller,
    { impersonated }: WantedCertificate,
    peer: string,
  ): Promise<SpiffeIdentity | Refusal> {
    if (impersonated === "") return caller.identity;
    const { authorizeNode } = this.#options;
    const details = "request impersonation authentication failure";
    const context = { peer, caller: nameOf(caller), impersonated: impersonated.slice(0, maxShown) };
    if (authorizeNode === undefined) {
      return this.#refuseCaller(details, { ...context, reason: "no account may (CA_TRUSTED_NODE_ACCOUNTS)" });
    }
    try {
      const identity = await authorizeNode(caller, impersonated);
      return "refusal" in identity ? this.#refuseCaller(details, { ...context, reason: identity.refusal }) : identity;
    } catch (error: unknown) {
      return this.#refuseCaller(details, { ...context, reason: "the pods cannot be looked up", error });
    }
  }

  async #issue(wanted: WantedCertificate, order: IssueOrder): Promise<Uint8Array | Refusal> {
    const { metrics } = this.#options;
    const { caller, identity, call } = order;
    try {
      const signed = await this.#queue.run(() => this.#sign(wanted, order));
      if (signed === undefined) {
        this.#report("too many certificates wait for their signature", { peer: call.peer, caller: nameOf(caller) });
        return { code: "RESOURCE_EXHAUSTED", details: "too many certificates are asked for" };
      }
      metrics.count("citadel_server_success_cert_issuance_count");
      this.#log.info("certificate issued", {
        identity: formatSpiffeIdentity(identity),
        serial: signed.serialNumber,
        notAfter: formatInstant(signed.notAfterMs),
        peer: call.peer,
        ...(wanted.impersonated === "" ? {} : { requestedBy: nameOf(caller) }),
      });
      return encode("istio.v1.auth.IstioCertificateResponse", { cert_chain: [...signed.chain, signed.roots] });
    } catch (error: unknown) {
      const context = { peer: call.peer, caller };
      if (error instanceof LifetimeError) return this.#refuseRequest(error.message, { ...context, kind: "TTL_ERROR" });
      if (error instanceof SigningRequestError) return this.#refuseRequest(error.message, context);
      if (call.signal.aborted) return { code: "INTERNAL", details: "the client no longer waits" };
      metrics.count("citadel_server_csr_sign_err_count", { error: "CERT_GEN_ERROR" });
      this.#log.error("a certificate could not be signed", { peer: call.peer, caller: nameOf(caller), error });
      return { code: "INTERNAL", details: "CSR signing error" };
    }
  }

  async #sign(
    { csr, lifetime, certSigner }: WantedCertificate,
    { identity, call }: IssueOrder,
  ): Promise<SignedCertificate> {
    const { signer, lifetimes } = this.#options;
    // Whoever has gone while waiting needs no certificate.
    call.signal.throwIfAborted();
    const lifetimeMs = parseLifetime(lifetime, lifetimes);
    const request = await parseSigningRequest(csr);
    return signer.sign({ request, identity, lifetimeMs, certSigner }, call.signal);
  }

  #refuseCaller(details: string, fields: Readonly<Record<string, unknown>>): Refusal {
    this.#options.metrics.count("citadel_server_authentication_failure_count");
    this.#report("a caller gets no certificate", fields);
    return { code: "UNAUTHENTICATED", details };
  }

  #refuseRequest(reason: string, { peer, caller, kind = "CSR_ERROR" }: RefusedRequest): Refusal {
    const { metrics } = this.#options;
    if (kind === "CSR_ERROR") metrics.count("citadel_server_csr_parsing_err_count");
    metrics.count("citadel_server_csr_sign_err_count", { error: kind });
    this.#report("a request for a certificate is refused", { peer, caller: nameOf(caller), reason });
    return { code: "INVALID_ARGUMENT", details: `CSR signing error (${reason})` };
  }

  /** Whoever is refused a thousand times a second must not fill the log. */
  #report(text: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.#refusalLog.reserve() === 0) this.#log.warn(text, fields);
  }
}

interface RefusedRequest {
  readonly peer: string;
  readonly caller: Caller;
  readonly kind?: "CSR_ERROR" | "TTL_ERROR";
}

interface IssueOrder {
  readonly caller: Caller;
  readonly identity: SpiffeIdentity;
  readonly call: CertificateCall;
}

/** Longer texts of callers are cut in the log. */
const maxShown = 400;
const nameOf = ({ identity }: Caller): string => formatSpiffeIdentity(identity);

/** Undefined for bytes that are no request. */
function readRequest(bytes: Uint8Array): WantedCertificate | undefined {
  try {
    const { csr = "", validity_duration, metadata } = decode("istio.v1.auth.IstioCertificateRequest", bytes);
    const fields = structToJson(metadata ?? {});
    return {
      csr,
      lifetime: validity_duration,
      certSigner: readText(fields, "CertSigner"),
      impersonated: readText(fields, "ImpersonatedIdentity"),
    };
  } catch {
    return undefined;
  }
}

function readText(fields: Readonly<Record<string, unknown>>, name: string): string {
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
  return typeof value === "string" ? value : "";
}
