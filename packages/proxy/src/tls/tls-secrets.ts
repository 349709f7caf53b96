/** The certificates and the validation of one TLS context, wherever they come from, as they are now. */
import { readFileSync } from "node:fs";
import { mergeMessages } from "@meltemi/protos";
import type { DataSource } from "@meltemi/protos/envoy/config/core/v3";
import type {
  CertificateValidationContext,
  CommonTlsContext,
  SdsSecretConfig,
  TlsCertificate,
} from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import { Closers } from "../lib/closers.ts";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import type { Log } from "../lib/log.ts";
import { watchDirectory } from "../xds/watched-directory.ts";
import type { SecretProvider, SecretSlot } from "./types.ts";

export interface TlsMaterial {
  readonly certificates: readonly TlsCertificate[];
  readonly validation: CertificateValidationContext | undefined;
}

export interface TlsSecretsEnv {
  readonly secrets: SecretProvider;
  readonly log: Log;
}

export interface TlsSecrets {
  /** Undefined until all of it is there. */
  find(): TlsMaterial | undefined;
  readonly ready: Promise<void>;
  /** True where nothing of it comes later: what is wrong with it is wrong with the configuration. */
  readonly isFixed: boolean;
  /** `run` may throw ConfigError: then whoever brought the change hears that it cannot be used. */
  onChange(run: () => void): void;
  close(): void;
}

type OpenSlot = ReturnType<SecretProvider["open"]>;

/** Opens what a context refers to. Throws ConfigError for providers that are not there, and for files that cannot be read. */
export function openTlsSecrets(wire: CommonTlsContext, env: TlsSecretsEnv): TlsSecrets {
  refuseProviders(wire);
  return new CommonSecrets(wire, env);
}

class CommonSecrets implements TlsSecrets {
  readonly ready: Promise<void>;
  readonly isFixed: boolean;
  readonly #wire: CommonTlsContext;
  readonly #closers = new Closers();
  readonly #certificateSlots: readonly OpenSlot[];
  readonly #validationSlot: OpenSlot | undefined;
  #run: () => void = () => undefined;
  #certificates: readonly TlsCertificate[] = [];
  #validation: CertificateValidationContext | undefined;

  constructor(wire: CommonTlsContext, { secrets, log }: TlsSecretsEnv) {
    this.#wire = wire;
    const open = (config: SdsSecretConfig): OpenSlot => {
      const slot = secrets.open(config);
      this.#closers.push(() => slot.close());
      this.#closers.push(slot.onChange(() => this.#run()));
      return slot;
    };
    try {
      this.#certificateSlots = compileAll(
        "tls_certificate_sds_secret_configs",
        wire.tls_certificate_sds_secret_configs,
        open,
      );
      const validation =
        wire.combined_validation_context?.validation_context_sds_secret_config ??
        wire.validation_context_sds_secret_config;
      this.#validationSlot = validation && within("validation_context_sds_secret_config", () => open(validation));
      this.#readInline();
    } catch (cause: unknown) {
      void this.#closers.close();
      throw cause;
    }
    const slots = this.#listSlots();
    this.isFixed = slots.length === 0;
    this.ready = Promise.all(slots.map(({ ready }) => ready)).then(() => undefined);
    for (const path of this.#listDirectories()) this.#closers.push(watchDirectory(path, log, () => this.#reread(log)));
  }

  find(): TlsMaterial | undefined {
    if (this.#listSlots().some(({ current }) => current === undefined)) return undefined;
    const found = this.#certificateSlots.map(({ current }) => current?.tls_certificate ?? {});
    const dynamic = this.#validationSlot?.current?.validation_context;
    return { certificates: [...this.#certificates, ...found], validation: merge(this.#validation, dynamic) };
  }

  onChange(run: () => void): void {
    this.#run = run;
  }

  close(): void {
    this.#run = () => undefined;
    void this.#closers.close();
  }

  #listSlots(): readonly SecretSlot[] {
    return this.#validationSlot ? [...this.#certificateSlots, this.#validationSlot] : this.#certificateSlots;
  }

  #readInline(): void {
    const { combined_validation_context: combined, validation_context: plain, tls_certificates } = this.#wire;
    this.#certificates = compileAll("tls_certificates", tls_certificates, readCertificate);
    const validation = combined?.default_validation_context ?? plain;
    this.#validation = validation && within("validation_context", () => readValidation(validation));
  }

  /** Envoy watches files of inline certificates only where a directory is named for it. */
  #listDirectories(): readonly string[] {
    const { tls_certificates = [], validation_context, combined_validation_context } = this.#wire;
    const contexts = [...tls_certificates, validation_context, combined_validation_context?.default_validation_context];
    const paths = contexts.map((context) => context?.watched_directory?.path);
    return [...new Set(paths.filter((path): path is string => path !== undefined && path !== ""))];
  }

  #reread(log: Log): void {
    const before = { certificates: this.#certificates, validation: this.#validation };
    try {
      this.#readInline();
      this.#run();
    } catch (cause: unknown) {
      this.#certificates = before.certificates;
      this.#validation = before.validation;
      log.warn("Replaced certificate files cannot be used; the old ones stay in use", { cause });
    }
  }
}

/** protobuf's merge, as Envoy's: lists grow, single fields of the secret win. */
function merge(
  fixed: CertificateValidationContext | undefined,
  dynamic: CertificateValidationContext | undefined,
): CertificateValidationContext | undefined {
  if (fixed === undefined || dynamic === undefined) return dynamic ?? fixed;
  const type = "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext";
  return mergeMessages(type, [{ ...fixed }, { ...dynamic }]);
}

function refuseProviders(wire: CommonTlsContext): void {
  const combined = wire.combined_validation_context;
  const refused = {
    tls_certificate_certificate_provider: wire.tls_certificate_certificate_provider,
    tls_certificate_certificate_provider_instance: wire.tls_certificate_certificate_provider_instance,
    tls_certificate_provider_instance: wire.tls_certificate_provider_instance,
    validation_context_certificate_provider:
      wire.validation_context_certificate_provider ?? combined?.validation_context_certificate_provider,
    validation_context_certificate_provider_instance:
      wire.validation_context_certificate_provider_instance ??
      combined?.validation_context_certificate_provider_instance,
    custom_handshaker: wire.custom_handshaker,
    // Session keys in a file undo what TLS is for; the platform's own flag is there for debugging.
    key_log: wire.key_log,
  };
  for (const [name, value] of Object.entries(refused)) {
    if (value !== undefined) throw new ConfigError(name, "is not implemented");
  }
}

function readCertificate(wire: TlsCertificate): TlsCertificate {
  const { certificate_chain, private_key, password, pkcs12 } = wire;
  return {
    ...wire,
    ...(certificate_chain && { certificate_chain: readSource("certificate_chain", certificate_chain) }),
    ...(private_key && { private_key: readSource("private_key", private_key) }),
    ...(password && { password: readSource("password", password) }),
    ...(pkcs12 && { pkcs12: readSource("pkcs12", pkcs12) }),
  };
}

function readValidation(wire: CertificateValidationContext): CertificateValidationContext {
  const { trusted_ca, crl } = wire;
  return {
    ...wire,
    ...(trusted_ca && { trusted_ca: readSource("trusted_ca", trusted_ca) }),
    ...(crl && { crl: readSource("crl", crl) }),
  };
}

function readSource(path: string, source: DataSource): DataSource {
  return within(path, () => ({ inline_bytes: readDataSource(source) }));
}

/** The bytes of a source. Throws ConfigError. */
export function readDataSource(source: DataSource): Buffer {
  if (source.inline_bytes !== undefined) return Buffer.from(source.inline_bytes);
  if (source.inline_string !== undefined) return Buffer.from(source.inline_string);
  if (source.filename === undefined) throw new ConfigError("", "must be inline or in a file");
  try {
    return readFileSync(source.filename);
  } catch (cause: unknown) {
    throw new ConfigError("filename", cause instanceof Error ? cause.message : String(cause));
  }
}
