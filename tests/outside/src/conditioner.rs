//! A conditioner: references to the images themselves.

use imagerag::conditioner::{ConditionRequest, Conditioned, Conditioning, ConditioningKind};
use imagerag::{Conditioner, Error, Result, async_trait};

/// Hands up to two images on.
#[derive(Clone, Copy, Debug)]
pub struct Gallery;

#[async_trait]
impl Conditioner for Gallery {
    fn produces(&self) -> ConditioningKind {
        ConditioningKind::Images
    }

    fn capacity(&self) -> usize {
        2
    }

    async fn condition(&self, request: &ConditionRequest) -> Result<Conditioned> {
        let found = request.references.len();
        if !(1..=self.capacity()).contains(&found) {
            return Err(Error::invalid_input("references for Gallery", "1 to 2", found));
        }
        let mut images = Vec::new();
        for reference in &request.references {
            images.push(reference.image().await?);
        }
        Ok(Conditioned {
            prompt: format!("{}, like the pictures", request.prompt),
            conditioning: Conditioning::Images(images),
        })
    }
}
