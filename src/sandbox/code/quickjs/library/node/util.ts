import { format as formatted, inspect as inspected } from "../inspect.ts";

export const format = (...values: unknown[]): string => formatted(values);
export const inspect = (value: unknown): string => inspected(value);
export default { format, inspect };
