/** The rows of `vip:`; checked already, used from a later version on. */
import { choice, integer, LIST, own, SECTION, type Setting, TEXT } from '../setting.ts'

export const VIP_SETTINGS: readonly Setting[] = [
  own('vip', SECTION, 'A virtual address that sits on a router that can route. Not used yet.'),
  own('vip.manager', choice('keepalived', 'etcd', 'exec'), 'Who moves the address.', {
    fallback: 'keepalived',
  }),
  own('vip.address', LIST, 'The address with its prefix length; several as a list.', {
    required: 'always',
    sample: '10.0.0.100/24',
  }),
  own('vip.interface', TEXT, 'The interface that carries it.', { sample: 'eth0' }),
  own(
    'vip.router_id',
    integer(1, 255),
    'VRRP virtual router id; derived from the scope when left out.',
    { sample: '51' },
  ),
  own('vip.rank', integer(0, 63), "This node's place in the order; 0 comes first.", {
    fallback: 0,
  }),
  own('vip.profile', choice('safe', 'default', 'fast', 'extreme'), 'Set of VRRP timings.', {
    fallback: 'default',
  }),
  own('vip.peers', LIST, 'The other nodes, for unicast; multicast when left out.', {
    sample: '[10.0.0.2, 10.0.0.3]',
  }),
]
