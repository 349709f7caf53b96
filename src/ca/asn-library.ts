/** The packages that read and write ASN.1, loaded when the first request comes: it takes some 0.1 s. */
export interface AsnLibrary {
  readonly AsnConvert: typeof import("@peculiar/asn1-schema").AsnConvert;
  readonly x509: typeof import("@peculiar/asn1-x509");
}

let loading: Promise<AsnLibrary> | undefined;

export function loadAsn(): Promise<AsnLibrary> {
  loading ??= load();
  return loading;
}

async function load(): Promise<AsnLibrary> {
  const [{ AsnConvert }, x509] = await Promise.all([import("@peculiar/asn1-schema"), import("@peculiar/asn1-x509")]);
  return { AsnConvert, x509 };
}
