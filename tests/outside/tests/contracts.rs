//! Each part keeps its contract.

use futures::executor::block_on;
use imagerag::reference::Caption;
use imagerag::retriever::{RerankRequest, Reranker, RetrieveRequest};
use imagerag::testing::{conformance, solid};
use imagerag::{Embedder, Retriever};
use outside::{Brush, Eye, Gallery, Judge, Lightest, Oracle, Rows, Shelf};

fn shelf() -> Shelf {
    Shelf(vec![("bird", [200, 0, 0]), ("red bird", [250, 0, 0]), ("frog", [0, 99, 0])])
}

#[test]
fn parts_of_the_pipeline() {
    block_on(conformance::generator(&Brush::default()));
    let blue = solid(8, 8, [0, 0, 200]);
    block_on(conformance::critic_over(Oracle, Judge, "a red bird", &blue));
    block_on(conformance::retriever(&shelf(), &[Caption::concept("a red bird")]));
    block_on(conformance::conditioner(&Gallery));
}

#[test]
fn what_they_are_made_of() {
    block_on(conformance::vlm(&Oracle));
    block_on(conformance::embedder(&Eye));
    let request = RetrieveRequest::new([Caption::concept("a red bird")], 3);
    let lists = block_on(shelf().retrieve(&request)).unwrap();
    block_on(conformance::reranker(&Lightest, &lists));
    let captions = vec![Caption::concept("a red bird")];
    let request = RerankRequest::new(captions, lists);
    assert_eq!(block_on(Lightest.rank(&request)).unwrap()[0].scores, [200.0, 250.0]);
    let recorded = request.log.take();
    assert_eq!((recorded.len(), recorded[0].model.as_str()), (1, "Lightest"));
    let pictures: Vec<_> = (0..40).map(|n| solid(4, 4, [6 * n, 90, 255 - 6 * n])).collect();
    let rows = block_on(Eye.embed_images(&pictures)).unwrap().embeddings;
    let index = Rows { rows: rows.clone(), dim: Eye.dim() };
    block_on(conformance::vector_index(&index, &rows, 1.0));
}
