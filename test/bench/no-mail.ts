/** In the place of `cloudflare:email`, which a bare workerd doesn't have: the Agents SDK imports it, and nobody here mails. */
export class EmailMessage {}
