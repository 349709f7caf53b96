/**
 * Values of google.protobuf.BoolValue, UInt32Value and their like. One that is set to false or 0 comes as `{}`, as all that
 * is as protobuf has it by default is left out: `wrapper?.value ?? otherwise` would take it for one that is not set.
 */
export function wrappedBool(
  wrapper: { readonly value?: boolean | undefined } | undefined,
  otherwise: boolean,
): boolean {
  return wrapper === undefined ? otherwise : (wrapper.value ?? false);
}

/** The same for numbers; 64-bit ones may be text. */
export function wrappedNumber(
  wrapper: { readonly value?: number | string | undefined } | undefined,
  otherwise: number,
): number {
  return wrapper === undefined ? otherwise : Number(wrapper.value ?? 0);
}
