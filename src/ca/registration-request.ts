/**
 * What a request must be to be passed on to a signer outside: that one copies names out of it, so nothing may stand in it
 * that the caller has not proven (Istio: security/pkg/pki/ra/common.go).
 */
import { Buffer } from "node:buffer";
import type { GeneralName } from "@peculiar/asn1-x509";
import { formatSpiffeIdentity, type SpiffeIdentity } from "../lib/spiffe.ts";
import { type AsnLibrary, loadAsn } from "./asn-library.ts";
import {
  decodePem,
  listRequestedExtensions,
  type RequestParts,
  SigningRequestError,
  splitRequest,
} from "./signing-request.ts";

/**
 * Checks a request (PEM, already found good by parseSigningRequest): its subject is empty or an empty organization, as
 * agents send it, and it asks for no extension but names, of which there is none other than at most one URI, the identity
 * itself. Rejects with SigningRequestError.
 */
export async function checkRequestForRegistration(pem: string, identity: SpiffeIdentity): Promise<void> {
  const asn = await loadAsn();
  const request = splitRequest(decodePem(pem));
  if (!hasBareSubject(request)) throw new SigningRequestError("the subject of the request is not empty");
  const extensions = listRequestedExtensions(asn, request);
  const others = extensions.filter(({ extnID }) => extnID !== asn.x509.id_ce_subjectAltName);
  if (others.length > 0 || extensions.length > 1) {
    throw new SigningRequestError("the request asks for an extension that is no name");
  }
  const names = extensions.flatMap(({ extnValue }) => readNames(asn, extnValue.buffer));
  const own = formatSpiffeIdentity(identity);
  if (names.some(({ uniformResourceIdentifier: uri }) => uri === undefined)) {
    throw new SigningRequestError("the request asks for a name that is no URI");
  }
  if (names.length > 1) throw new SigningRequestError("the request asks for several names");
  if (names.some(({ uniformResourceIdentifier: uri }) => uri !== own)) {
    throw new SigningRequestError("the request asks for the name of somebody else");
  }
}

// SET { SEQUENCE { 2.5.4.10, text } }; the two bytes of the text are its kind and its length.
const bareSubject = /^(?:31093007060355040a..00)?$/;

/** Empty, or one organization that is an empty text of any kind. */
function hasBareSubject({ subject }: RequestParts): boolean {
  return bareSubject.test(Buffer.from(subject.content).toString("hex"));
}

function readNames({ AsnConvert, x509 }: AsnLibrary, value: ArrayBuffer): readonly GeneralName[] {
  try {
    return [...AsnConvert.parse(value, x509.SubjectAlternativeName)];
  } catch (cause: unknown) {
    throw new SigningRequestError("the names in the request cannot be read", { cause });
  }
}
