// A certified OpenID provider with one shop's back end, one shop's web site, and keys that a file holds.
//
// node provider.mjs PORT KEYS_FILE: on SIGHUP the keys are read again; the first of them signs from then on.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const [port, keysFile] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const scope = 'orders:read orders:write';

function provider() {
  return new Provider(issuer, {
    jwks: JSON.parse(readFileSync(keysFile, 'utf8')),
    clients: [
      {
        client_id: 'back-end',
        client_secret: 'between-us',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        scope,
      },
      {
        client_id: 'web-site',
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code'],
        redirect_uris: ['http://127.0.0.1/back'],
        response_types: ['code'],
        scope: `openid ${scope}`,
      },
    ],
    scopes: ['openid', ...scope.split(' ')],
    cookies: { keys: ['for tests alone'] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    // Whoever has signed in at the web site is a customer, the back end is staff, as Keycloak would say it.
    extraTokenClaims: (_, token) => ({
      realm_access: { roles: ['offline_access', token.accountId ? 'ROLE_CUSTOMER' : 'ROLE_STAFF'] },
    }),
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:orderfold',
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope,
          audience: 'orderfold',
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
}

let handle = provider().callback();
process.on('SIGHUP', () => {
  handle = provider().callback();
});
createServer((request, response) => handle(request, response)).listen(Number(port), '127.0.0.1');
