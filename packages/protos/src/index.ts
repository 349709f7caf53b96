export type { TypeMap } from "../gen/types/type-map.ts";
export { isTypeName, packAny, typeNameOf, typeUrl, unpackAny, unpackAs } from "./any.ts";
export {
  bool,
  double,
  duration,
  durationToMs,
  type Json,
  str,
  struct,
  structToJson,
  u32,
  u64,
  value,
  valueToJson,
} from "./builders.ts";
export { decode, decodeDynamic } from "./decode.ts";
export { encode, encodeDynamic, type TypeName } from "./encode.ts";
export { fromJson, fromJsonDynamic } from "./from-json.ts";
export { findJsonFaults, type JsonFault } from "./json-faults.ts";
export { listFields, listFieldsOf, type WireField } from "./list-fields.ts";
export { type MergeOptions, mergeMessages } from "./merge.ts";
export { ProtoError } from "./proto-error.ts";
export { relaxJson } from "./relax-json.ts";
export { findService, listTypeNames, type MethodDescriptor, type ServiceDescriptor } from "./schema.ts";
export { type ToJsonOptions, toJson, toJsonDynamic } from "./to-json.ts";
export { findUnknownKeys } from "./verify.ts";
export {
  concatBytes,
  type DeltaResourceParts,
  encodeDeltaDiscoveryResponse,
  encodeDiscoveryResponse,
  frameDeltaResource,
  frameSotwResource,
  lengthDelimited,
  type ResponseHead,
} from "./wire.ts";
