//! Walks over small directed graphs.

/// Numbers the strongly connected components of a graph in topological order: an arc between two
/// components goes from the lower number to the higher one. Returns the number of each node, and how
/// many components there are.
pub(crate) fn components(arcs: &[Vec<usize>]) -> (Vec<usize>, usize) {
    const UNSEEN: usize = usize::MAX;
    let nodes = arcs.len();
    let mut order = vec![UNSEEN; nodes];
    let mut low = vec![0; nodes];
    let mut component = vec![UNSEEN; nodes];
    let mut open: Vec<usize> = Vec::new();
    let mut found = 0;
    let mut next = 0;
    // Tarjan's algorithm with a stack of its own: chains of thousands of findings must not recurse.
    let mut work: Vec<(usize, usize)> = Vec::new();
    for start in 0..nodes {
        if order[start] != UNSEEN {
            continue;
        }
        work.push((start, 0));
        while let Some((node, step)) = work.pop() {
            if step == 0 {
                order[node] = next;
                low[node] = next;
                next += 1;
                open.push(node);
            }
            if let Some(&to) = arcs[node].get(step) {
                work.push((node, step + 1));
                if order[to] == UNSEEN {
                    work.push((to, 0));
                } else if component[to] == UNSEEN {
                    low[node] = low[node].min(order[to]);
                }
                continue;
            }
            if low[node] == order[node] {
                while let Some(member) = open.pop() {
                    component[member] = found;
                    if member == node {
                        break;
                    }
                }
                found += 1;
            }
            if let Some((parent, _)) = work.last() {
                low[*parent] = low[*parent].min(low[node]);
            }
        }
    }
    // Tarjan finds the last component first.
    for number in &mut component {
        *number = found - 1 - *number;
    }
    (component, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_one_component_and_arcs_go_upwards() {
        let arcs = vec![vec![1], vec![2], vec![0, 3], vec![4], vec![], vec![4]];
        let (component, count) = components(&arcs);
        assert_eq!(count, 4);
        assert_eq!(component[0], component[1]);
        assert_eq!(component[1], component[2]);
        for (from, to) in arcs
            .iter()
            .enumerate()
            .flat_map(|(from, to)| to.iter().map(move |to| (from, *to)))
        {
            assert!(component[from] <= component[to]);
        }
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_does_not_overflow() {
        let arcs: Vec<Vec<usize>> = (0..100_000)
            .map(|at| {
                if at + 1 < 100_000 {
                    vec![at + 1]
                } else {
                    vec![]
                }
            })
            .collect();
        assert_eq!(components(&arcs).1, 100_000);
    }
}
