/**
 * The compact form in which the build step hands the .proto definitions to the runtime.
 * Flags are present only when true, so that the file stays small and quick to parse.
 */

/** One field of a message. */
export interface FieldDescriptor {
  readonly id: number;
  /** Name as in the .proto, snake_case. */
  readonly name: string;
  /** Scalar type such as "uint32", or the full name of a message or enum. */
  readonly type: string;
  readonly isEnum?: true;
  readonly repeated?: true;
  readonly packed?: true;
  /** Scalar type of the keys; set for maps alone. */
  readonly key?: string;
  /** Name of the oneof that holds this field; absent for proto3 `optional`. */
  readonly oneof?: string;
  /** A scalar or enum whose default value differs from being unset. */
  readonly presence?: true;
  /** Carries a credential: shown redacted (`udpa.annotations.sensitive`). */
  readonly sensitive?: true;
}

/** Value names to numbers. */
export type EnumDescriptor = Readonly<Record<string, number>>;

/** One method of a gRPC service; types are full message names. */
export interface MethodDescriptor {
  readonly request: string;
  readonly response: string;
  readonly requestStream?: true;
  readonly responseStream?: true;
}

/** Method names to methods. */
export type ServiceDescriptor = Readonly<Record<string, MethodDescriptor>>;

/** All definitions, each keyed by its full name without a leading dot. */
export interface DescriptorSet {
  /** Fields in ascending order of number. */
  readonly messages: Readonly<Record<string, readonly FieldDescriptor[]>>;
  readonly enums: Readonly<Record<string, EnumDescriptor>>;
  readonly services: Readonly<Record<string, ServiceDescriptor>>;
}
