/** Which coding a client gets, of those that the compressors of a chain offer. */
export interface Offer {
  readonly name: string;
  readonly allowsType: (contentType: string | undefined) => boolean;
  /** Of equally liked ones, this is taken. */
  readonly isFirst: boolean;
}

export type Choice =
  | { readonly kind: "coding"; readonly offer: Offer; readonly isWildcard: boolean }
  | { readonly kind: "identity" }
  | { readonly kind: "none" };

interface Wish {
  readonly name: string;
  readonly quality: number;
}

/** By RFC 9110, 12.5.3, with the choices that Envoy makes where it leaves some. */
export function chooseCoding(acceptEncoding: string, offers: readonly Offer[]): Choice {
  const wishes = parseWishes(acceptEncoding);
  if (wishes.length === 0) return { kind: "identity" };
  const offered = (name: string): Offer | undefined => {
    const fitting = offers.filter((offer) => offer.name === name);
    return fitting.find(({ isFirst }) => isFirst) ?? fitting[0];
  };
  const [firstOffer] = offers;
  let best: { readonly choice: Choice; readonly quality: number } | undefined;
  for (const { name, quality } of wishes) {
    if (quality <= 0 || (best && quality <= best.quality)) continue;
    if (name === "identity") best = { choice: { kind: "identity" }, quality };
    else if (name === "*" && firstOffer) {
      best = { choice: { kind: "coding", offer: firstOffer, isWildcard: true }, quality };
    } else {
      const offer = offered(name);
      if (offer) best = { choice: { kind: "coding", offer, isWildcard: false }, quality };
    }
  }
  return best?.choice ?? { kind: "none" };
}

function parseWishes(text: string): readonly Wish[] {
  return text.split(",").flatMap((part) => {
    const [name = "", ...parameters] = part.split(";").map((piece) => piece.trim().toLowerCase());
    if (name === "") return [];
    const quality = parameters.find((parameter) => parameter.startsWith("q="));
    const value = quality === undefined ? 1 : Number(quality.slice(2));
    return [{ name, quality: Number.isNaN(value) ? 0 : value }];
  });
}
