/** Bytes, or a text that stands for its UTF-8. */
export type Field = Uint8Array | string | null;
export type Part = "key" | "value" | "headers";

export class Record {
  readonly offsetDelta: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: [string, Uint8Array | null][];
  text(): string | null;
  header(name: string): Uint8Array | null | undefined;
}

export interface Batch extends Iterable<Record> {
  readonly length: number;
}

export interface Origin {
  principal: string;
  clientId: string;
  clientAddress: string;
  topic: string;
  partition: number;
}

export interface Acknowledgement {
  baseOffset: number;
  recordCount: number;
  atMs: number;
  error: string | null;
}

export interface Commit {
  principal: string;
  clientId: string;
  clientAddress: string;
  group: string;
  member: string;
  topic: string;
  offsets: { partition: number; offset: number }[];
  transactional: boolean;
}

export interface Verdict {
  drop(record: Record): void;
  reject(record: Record, reason: string): void;
  replace(record: Record, fields: { key?: Field; value?: Field; headers?: [string, Field][] }): void;
}

export interface Interceptor<Config = unknown> {
  reads?: Part[];
  writes?: Part[];
  drops?: boolean;
  reuse?: "never" | "for-everyone" | "for-principal";
  configure?(config: Config): void;
  onSend?(from: Origin, batch: Batch, verdict: Verdict): void;
  onAcknowledgement?(from: Origin, acknowledged: Acknowledgement): void;
  onConsume?(to: Origin, batch: Batch, verdict: Verdict): void;
  onCommit?(committed: Commit): void;
}

export interface Partitioner<Config = unknown> {
  reads?: Part[];
  configure?(config: Config): void;
  partition(record: Record, topic: string, partitions: number): number | null;
}

export interface Transform<Config = unknown> {
  configure?(config: Config, stores: string[]): void;
  process(batch: Batch, out: Output): void;
}

export interface Output {
  emit(key: Field, value: Field, headers?: [string, Field][]): void;
  reject(record: Record, reason: string): void;
}

export function defineInterceptor<Config>(plugin: Interceptor<Config>): object;
export function definePartitioner<Config>(plugin: Partitioner<Config>): object;
export function defineTransform<Config>(plugin: Transform<Config>): object;
export function murmur2(key: Uint8Array): number;
export function bytesOf(value: Field | undefined): Uint8Array | null;
export function textOf(value: Uint8Array | null): string | null;
export function encodeBatch(records: Record[], baseTimestampMs?: number, lastOffsetDelta?: number): Uint8Array;
