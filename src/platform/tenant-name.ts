/**
 * What a tenant may be called.
 */
import * as z from "zod";

/** A tenant's name is part of object names and storage prefixes. */
export const TenantName = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, "a tenant's name is 1 to 64 letters, digits, _ or -");
