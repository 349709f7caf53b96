const headLength = 4;
/** Beginnings of packets are all that is looked at: nothing longer is kept. */
const keptLength = 4_096;

/** Splits one direction of MySQL's protocol into packets: a length of three bytes, a sequence number, the payload. */
export class MysqlReader {
  #head: Buffer = Buffer.alloc(0);
  #kept: Buffer[] = [];
  #keptLength = 0;
  #left = 0;

  /** Payloads (their beginnings) of the packets that are whole now; undefined where there is an empty one. */
  read(chunk: Uint8Array): readonly Buffer[] | undefined {
    const packets: Buffer[] = [];
    let bytes: Buffer = Buffer.from(chunk);
    while (bytes.length > 0) {
      if (this.#left === 0) {
        const head = Buffer.concat([this.#head, bytes.subarray(0, headLength - this.#head.length)]);
        bytes = bytes.subarray(head.length - this.#head.length);
        this.#head = head;
        if (head.length < headLength) break;
        this.#left = head.readUIntLE(0, 3);
        if (this.#left === 0) return undefined;
      }
      const part = bytes.subarray(0, this.#left);
      bytes = bytes.subarray(part.length);
      this.#keep(part);
      this.#left -= part.length;
      if (this.#left === 0) packets.push(this.#finish());
    }
    return packets;
  }

  #keep(part: Buffer): void {
    const wanted = part.subarray(0, keptLength - this.#keptLength);
    if (wanted.length === 0) return;
    this.#kept.push(Buffer.from(wanted));
    this.#keptLength += wanted.length;
  }

  #finish(): Buffer {
    const packet = Buffer.concat(this.#kept);
    this.#kept = [];
    this.#keptLength = 0;
    this.#head = Buffer.alloc(0);
    return packet;
  }
}
